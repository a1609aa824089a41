package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
)

// database is where the metadata state lives on this node's disk: a pebblekv.Home, in which a
// snapshot from the leader takes the place of what was there.
//
// It implements consensus.StateMachine over meta.State.
type database struct {
	dir string
	o   pebblekv.Options
	*meta.State
	mirrorKey  []byte
	mirrorSaid bool // what is being applied tells how the mirror stands; for the goroutine of Apply

	checking sync.Mutex // held by check, whose copy has one place
}

// openDatabase opens the state in dir, or begins an empty one.
func openDatabase(fs vfs.FS, dir string, pools config.Pools, log *slog.Logger) (*database, error) {
	d := &database{dir: dir, mirrorKey: meta.SettingKey(settingMirror), o: pebblekv.Options{CacheBytes: pools.PebbleCache, MemtableBytes: uint64(pools.PebbleMemtable), FS: fs, Log: log}}
	home, db, err := pebblekv.OpenHome(dir, d.o)
	if err != nil {
		return nil, err
	}
	adopt := func(from string) (kv.DB, error) { return home.Adopt(from) }
	if d.State, err = meta.OpenState(db, meta.StateOptions{Reopen: adopt, Applied: d.watch}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := d.understood(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// featureLevel is the highest level of formats that this program knows (rule 34).
const featureLevel = meta.FeatureLevel

// understood refuses metadata of a level that this program does not know: as a follower it would copy them well, but it
// could become their leader (rule 34).
func (d *database) understood() error {
	reply, err := d.Query(&meta.ListNodes{})
	if err != nil {
		return err
	}
	if r, ok := reply.(*meta.MapReply); ok && r.Map.FeatureLevel > featureLevel {
		return honeyant.E("node.Open", honeyant.Unsupported, d.dir, fmt.Errorf("the colony's metadata are of level %d and this honeyant knows them up to %d: install a newer one", r.Map.FeatureLevel, featureLevel))
	}
	return nil
}

// Apply implements consensus.StateMachine. What the leader says of its mirror is durable in the
// state itself on return: a person who promotes this node is shown it before the log is read (rule 3).
func (d *database) Apply(index, term uint64, cmd []byte) (any, error) {
	d.mirrorSaid = false
	result, err := d.State.Apply(index, term, cmd)
	if err == nil && d.mirrorSaid {
		err = d.State.Flush()
	}
	return result, err
}

func (d *database) watch(b *kv.Batch) {
	for _, change := range b.Changes() {
		d.mirrorSaid = d.mirrorSaid || bytes.Equal(change.Key, d.mirrorKey)
	}
}

// checkBytes is what meta.Check takes for an inode and a chunk, about.
const checkBytes = 200

// check copies the state aside (by hard links) and checks the copy, so that nothing waits. TooLarge: it would take more
// than memory bytes. Conflict: a check is under way.
func (d *database) check(memory int64) ([]meta.Fault, error) {
	if !d.checking.TryLock() {
		return nil, honeyant.E("node.check", honeyant.Conflict, "metadata", errors.New("another fsck is at work; wait until it is through"))
	}
	defer d.checking.Unlock()
	reply, err := d.Query(&meta.StatFS{Volume: honeyant.MainVolume})
	if err != nil {
		return nil, err
	}
	if st, ok := reply.(*meta.StatFSReply); ok && int64(st.Inodes+st.Chunks) > memory/checkBytes {
		return nil, honeyant.E("node.check", honeyant.TooLarge, "metadata", fmt.Errorf("comparing %d inodes and %d chunks takes about %d MiB of memory, and %d are there for it",
			st.Inodes, st.Chunks, (st.Inodes+st.Chunks)*checkBytes>>20, memory>>20))
	}
	path := filepath.Join(d.dir, "db-check") // left over from a crash, OpenHome removes it
	if err := d.o.FS.RemoveAll(path); err != nil {
		return nil, honeyant.E("node.check", honeyant.Internal, path, err)
	}
	defer d.o.FS.RemoveAll(path)
	if err := d.State.Checkpoint(path); err != nil {
		return nil, err
	}
	db, err := pebblekv.Open(path, d.o)
	if err != nil {
		return nil, err
	}
	faults, err := meta.Check(db)
	return faults, errors.Join(err, db.Close())
}
