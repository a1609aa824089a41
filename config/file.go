package config

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/honeyant/honeyant"
)

// WriteFile replaces the file at path by data in one step: a temporary file beside it is
// written, synced and renamed over it, then the directory is synced. On return without an
// error data are on stable storage; after a crash at any point either the old or the new
// content is there, whole.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	const op = "config.WriteFile"
	dir := filepath.Dir(path)
	temp := path + ".new" // a fixed name: what a crash left over is written over
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return honeyant.E(op, kindOf(err), path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = SyncDir(dir)
	}
	if err != nil {
		return honeyant.E(op, kindOf(err), path, err)
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// kindOf is Internal where the operating system says nothing better.
func kindOf(err error) honeyant.Kind { return cmp.Or(honeyant.KindOfSystem(err), honeyant.Internal) }
