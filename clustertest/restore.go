package clustertest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/backup"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/node"
)

// LoseMetadata deletes the metadata and their log on a machine whose node does not run.
func (h *Host) LoseMetadata() {
	layout := config.Layout(h.dir)
	for _, dir := range []string{layout.Meta(), layout.Raft()} {
		h.c.check(h.parts().FS.RemoveAll(dir))
	}
}

func (h *Host) search() node.Search { return node.Search{Dir: h.dir, Parts: h.parts()} }

// FindBackups looks for backups in the stores of a node that does not run.
func (h *Host) FindBackups() ([]admin.BackupFound, error) { return node.FindBackups(h.search()) }

// Restore gives a node that does not run the metadata of the newest backup in its stores, as the command does.
func (h *Host) Restore() (admin.BackupFound, error) { return node.Restore(h.search()) }

// ReadBackup hands out what the newest backup in the store of a node that does not run holds.
func (h *Host) ReadBackup(each func(key, value []byte) error) error {
	s, err := chunk.Open(h.Disk.Chunks(), chunk.Options{})
	if err != nil {
		return err
	}
	found := backup.Find([]backup.Store{s})
	if len(found) == 0 {
		return errors.Join(honeyant.E("clustertest.ReadBackup", honeyant.NotExist, h.dir, nil), s.Close())
	}
	return errors.Join(found[0].Read(each), s.Close())
}

// Admits lets one more machine join, which gets that ID, and does not start it.
func (c *Cluster) Admits(id honeyant.NodeID) error {
	h := &Host{ID: id, Addr: fmt.Sprintf("10.0.0.%d:7268", id), c: c, dir: c.path(id, 0)}
	h.Disk = newDisk(h.dir)
	var join admin.Join
	if err := c.Leader().Command("token.create", admin.TokenRequest{}, &join); err != nil {
		return err
	}
	return h.join(join)
}

// RestoreInterrupted is Restore that ends before it renames the nth directory, from 0 on.
func (h *Host) RestoreInterrupted(nth int) error {
	s := h.search()
	s.Parts.FS = errorfs.Wrap(s.Parts.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch name := filepath.Base(op.Path); {
		case op.Kind != errorfs.OpRename, !slices.Contains([]string{"raft", "meta", "meta.restoring", "raft.restoring"}, name):
		case nth > 0:
			nth--
		default:
			return errorfs.ErrInjected
		}
		return nil
	}))
	_, err := node.Restore(s)
	return err
}
