package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
)

// database is where the metadata state lives on this node's disk: directories db-1, db-2, ...
// of which the file CURRENT names the one in force. A snapshot from the leader becomes the
// next one. Order: the new directory is complete and durable, CURRENT is replaced (written
// beside, synced, renamed, directory synced), and only then the old one is removed. So after
// a crash either the old or the new is whole; an old one is brought up to date by consensus.
//
// It implements consensus.StateMachine over meta.State.
type database struct {
	dir     string
	pools   config.Pools
	log     *slog.Logger
	current string // base name of the directory in force
	*meta.State
}

const currentFile = "CURRENT"

// openDatabase opens the state in dir, or begins an empty one.
func openDatabase(dir string, pools config.Pools, applied func(*kv.Batch), log *slog.Logger) (*database, error) {
	const op = "node.openDatabase"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, honeyant.E(op, honeyant.Internal, dir, err)
	}
	d := &database{dir: dir, pools: pools, log: log}
	name, err := os.ReadFile(filepath.Join(dir, currentFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.current = "db-1"
		if err := d.setCurrent(d.current); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, honeyant.E(op, honeyant.Internal, dir, err)
	default:
		d.current = strings.TrimSpace(string(name))
		if d.current != filepath.Base(d.current) || !strings.HasPrefix(d.current, "db-") {
			return nil, honeyant.E(op, honeyant.Corrupt, filepath.Join(dir, currentFile), fmt.Errorf("names %q", d.current))
		}
	}
	if err := d.removeOthers(); err != nil {
		return nil, err
	}
	db, err := d.openDB(filepath.Join(dir, d.current))
	if err != nil {
		return nil, err
	}
	if d.State, err = meta.OpenState(db, meta.StateOptions{Reopen: d.openDB, Applied: applied}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

func (d *database) openDB(path string) (kv.DB, error) {
	return pebblekv.Open(path, pebblekv.Options{CacheBytes: d.pools.PebbleCache, MemtableBytes: uint64(d.pools.PebbleMemtable), Log: d.log})
}

// setCurrent durably names the directory in force.
func (d *database) setCurrent(name string) error {
	const op = "node.setCurrent"
	tmp := filepath.Join(d.dir, currentFile+".new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return honeyant.E(op, honeyant.Internal, d.dir, err)
	}
	_, err = f.WriteString(name + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, filepath.Join(d.dir, currentFile))
	}
	if err == nil {
		err = syncDir(d.dir)
	}
	if err != nil {
		return honeyant.E(op, honeyant.Internal, d.dir, err)
	}
	d.current = name
	return nil
}

// removeOthers deletes databases that are not in force: left over from a crash.
func (d *database) removeOthers() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return honeyant.E("node.openDatabase", honeyant.Internal, d.dir, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "db-") && e.Name() != d.current {
			if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
				return honeyant.E("node.openDatabase", honeyant.Internal, e.Name(), err)
			}
		}
	}
	return nil
}

// Restore implements consensus.StateMachine.
func (d *database) Restore(from string) error {
	var n int
	if _, err := fmt.Sscanf(d.current, "db-%d", &n); err != nil {
		return honeyant.E("node.Restore", honeyant.Corrupt, d.current, err)
	}
	old, next := d.current, fmt.Sprintf("db-%d", n+1)
	path := filepath.Join(d.dir, next)
	if err := os.RemoveAll(path); err != nil {
		return honeyant.E("node.Restore", honeyant.Internal, path, err)
	}
	if err := os.Rename(from, path); err != nil {
		return honeyant.E("node.Restore", honeyant.Internal, path, err)
	}
	if err := errors.Join(syncDir(d.dir), syncDir(filepath.Dir(from))); err != nil {
		return honeyant.E("node.Restore", honeyant.Internal, path, err)
	}
	if err := d.State.Restore(path); err != nil {
		return err
	}
	if err := d.setCurrent(next); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(d.dir, old)); err != nil {
		d.log.Warn("an old metadata database could not be removed", "directory", old, "error", err)
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// check copies the state aside (by hard links) and checks the copy, so that nothing waits.
func (d *database) check() ([]meta.Fault, error) {
	path := filepath.Join(d.dir, "db-check")
	if err := os.RemoveAll(path); err != nil {
		return nil, honeyant.E("node.check", honeyant.Internal, path, err)
	}
	defer os.RemoveAll(path)
	if err := d.State.Checkpoint(path); err != nil {
		return nil, err
	}
	db, err := d.openDB(path)
	if err != nil {
		return nil, err
	}
	faults, err := meta.Check(db)
	return faults, errors.Join(err, db.Close())
}
