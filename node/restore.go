package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/backup"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/consensus"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
)

// Search is where backups are looked for.
type Search struct {
	Dir    string   // of a node whose daemon is stopped; "": only Stores
	Stores []string // directories of stores besides that node's own
	Parts  Parts
}

// opened is a search with its stores open.
type opened struct {
	stores  []*chunk.Store
	found   []*backup.Found
	highest uint32 // incarnation that any of the stores or backups knows
}

// open opens all stores and looks through them. Kinds: Conflict (a daemon uses one), Invalid, those of the disk.
func (s *Search) open(own []config.Store) (*opened, error) {
	o := &opened{}
	paths := s.Stores
	for _, c := range own {
		paths = append(paths, c.Path)
	}
	if len(paths) == 0 {
		return nil, honeyant.E("node.FindBackups", honeyant.Invalid, s.Dir, errors.New("no store to look into: name directories of stores, such as DIR/store"))
	}
	var from []backup.Store
	for _, path := range paths {
		fs, err := s.Parts.Disk(path)
		if err == nil {
			var one *chunk.Store
			if one, err = chunk.Open(fs, chunk.Options{}); err == nil {
				o.stores, from = append(o.stores, one), append(from, one)
				o.highest = max(o.highest, one.Incarnation())
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), o.close())
		}
	}
	o.found = backup.Find(from)
	for _, f := range o.found {
		o.highest = max(o.highest, f.Holds.Incarnation)
	}
	return o, nil
}

func (o *opened) close() error {
	var faults []error
	for _, s := range o.stores {
		faults = append(faults, s.Close())
	}
	return errors.Join(faults...)
}

// newest is the newest backup that is whole.
func (o *opened) newest() (*backup.Found, error) {
	for _, f := range o.found {
		if f.Missing == 0 {
			return f, nil
		}
	}
	why := "none of these stores holds a backup of the metadata"
	if len(o.found) > 0 {
		why = "every backup in these stores lacks parts: name the stores of other machines too"
	}
	return nil, honeyant.E("node.FindBackups", honeyant.NotExist, "", errors.New(why))
}

// FindBackups looks for backups of the metadata in stores alone, and reads each one that is whole, newest first.
func FindBackups(s Search) ([]admin.BackupFound, error) {
	s.Parts = s.Parts.withDefaults()
	var own []config.Store
	if s.Dir != "" {
		dir, err := config.OpenDir(s.Dir)
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		c, err := config.Load(s.Dir)
		if err != nil {
			return nil, err
		}
		own = c.Stores
	}
	o, err := s.open(own)
	if err != nil {
		return nil, err
	}
	list := []admin.BackupFound{}
	for _, f := range o.found {
		one := backupFound(f)
		if f.Missing == 0 {
			if err := f.Read(nil); err != nil {
				one.Fault = err.Error()
			} else {
				one.Verified = true
			}
		}
		list = append(list, one)
	}
	return list, o.close()
}

func backupFound(f *backup.Found) admin.BackupFound {
	return admin.BackupFound{Cluster: f.Holds.Cluster, Incarnation: f.Holds.Incarnation, Number: f.Number, Made: f.Made,
		Inodes: f.Holds.Inodes, Chunks: f.Holds.Chunks, Bytes: int64(f.Length), Parts: len(f.Parts), Missing: f.Missing}
}

// Restore gives a node whose metadata are lost those of the newest whole backup in its own stores and in
// s.Stores, and makes it the only voter of a new incarnation, as Promote does (rules 4, 6). The daemon must be stopped.
// What the node had of metadata is kept beside, under names with ".lost-". Interrupted, it can be repeated; nothing is
// changed before the backup has been read whole. Kinds: NotExist (no whole backup), Invalid (it is of another
// cluster), Corrupt, Conflict (the daemon runs).
func Restore(s Search) (admin.BackupFound, error) {
	s.Parts = s.Parts.withDefaults()
	r := &restoring{parts: s.Parts, stamp: ".lost-" + time.Now().UTC().Format("20060102-150405.000")}
	fail := func(err error) (admin.BackupFound, error) { return admin.BackupFound{}, err }
	var err error
	if r.dir, err = config.OpenDir(s.Dir); err != nil {
		return fail(err)
	}
	defer r.dir.Close()
	c, err := config.Load(s.Dir)
	if err != nil {
		return fail(err)
	}
	if r.id, err = cluster.LoadIdentity(r.dir.Identity()); err != nil {
		return fail(err)
	}
	o, err := s.open(c.Stores)
	if err != nil {
		return fail(err)
	}
	from, err := o.newest()
	if err == nil {
		err = r.run(s.Dir, from, o.highest)
	}
	if err = errors.Join(err, o.close()); err != nil {
		return fail(err)
	}
	done := backupFound(from)
	done.Verified = true
	return done, nil
}

// restoring is a Restore under way.
type restoring struct {
	parts Parts
	dir   *config.Dir
	id    *cluster.Identity
	stamp string
}

// run restores in steps each of which is durable before the next one begins, since a start or a repetition in between
// goes by what it finds: the copy of the backup beside, whole; the marker; the old log aside, and then the old state, so
// that no log is ever there without its state; the copy in its place; the new log, made beside by consensus.Restore.
func (r *restoring) run(path string, from *backup.Found, highest uint32) error {
	const op = "node.Restore"
	if from.Holds.Cluster != r.id.Cluster() {
		return honeyant.E(op, honeyant.Invalid, path, fmt.Errorf("the backup is of cluster %s, and this machine is of %s", from.Holds.Cluster, r.id.Cluster()))
	}
	log := slog.New(slog.DiscardHandler)
	fresh := r.dir.Meta() + ".restoring"
	if err := r.parts.FS.RemoveAll(fresh); err != nil { // of one that was interrupted
		return honeyant.E(op, honeyant.Internal, fresh, err)
	}
	if err := fill(fresh, pebblekv.Options{FS: r.parts.FS, Log: log}, r.whole(from)); err != nil {
		return err
	}
	if m, err := cluster.LoadMap(r.dir.MapFile()); err == nil && m != nil {
		highest = max(highest, m.Incarnation)
	}
	if already, err := promotedTo(path); err == nil && already > highest {
		highest = already - 1 // of a restore that was interrupted
	}
	to := highest + 1
	// From here on the node raises the incarnation before it serves.
	if err := markPromoted(path, to); err != nil {
		return err
	}
	for _, old := range []string{r.dir.Raft(), r.dir.Meta()} {
		if _, err := r.parts.FS.Stat(old); err != nil {
			continue // it is lost, which is why we are here
		}
		if err := r.rename(old, old+r.stamp); err != nil {
			return err
		}
	}
	if err := r.rename(fresh, r.dir.Meta()); err != nil {
		return err
	}
	db, err := openDatabase(r.parts.FS, r.dir.Meta(), config.PoolsFor(0), log)
	if err != nil {
		return err
	}
	err = consensus.Restore(consensus.Options{Dir: r.dir.Raft(), Self: r.id.Self(), FSM: db, FS: r.parts.FS, Log: log}, uint64(to))
	return errors.Join(err, db.Flush(), db.Close())
}

// rename gives a directory another name; durable on return.
func (r *restoring) rename(from, to string) error {
	err := r.parts.FS.Rename(from, to)
	if err == nil {
		err = syncDir(r.parts.FS, r.parts.FS.PathDir(to))
	}
	if err != nil {
		return honeyant.E("node.Restore", honeyant.Internal, from, err)
	}
	return nil
}

// whole hands out what a backup holds, and then the secret settings: those that can still be read here, or else the
// authority's key as the backup has it sealed for this node, if it has.
func (r *restoring) whole(from *backup.Found) func(func(key, value []byte) error) error {
	return func(put func(key, value []byte) error) error {
		secrets := r.secrets()
		sealed := meta.SettingKey(cluster.SettingSealed(r.id.Self()))
		err := from.Read(func(key, value []byte) error {
			if len(secrets) == 0 && bytes.Equal(key, sealed) {
				if keyPEM, err := r.id.Unseal(value); err == nil { // else the colony goes on without
					secrets = append(secrets, [2][]byte{meta.SettingKey(cluster.SettingCAKey), keyPEM})
				}
			}
			return put(key, value)
		})
		for _, pair := range secrets {
			if err == nil {
				err = put(pair[0], pair[1])
			}
		}
		return err
	}
}

// secrets are the settings that no backup has, from the metadata that were here, if these can be read; else nil.
func (r *restoring) secrets() (pairs [][2][]byte) {
	for _, path := range r.kept() {
		_, db, err := pebblekv.OpenHome(path, pebblekv.Options{FS: r.parts.FS, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			continue
		}
		pairs = nil
		err = meta.Secrets(db, func(key, value []byte) error {
			pairs = append(pairs, [2][]byte{append([]byte(nil), key...), append([]byte(nil), value...)})
			return nil
		})
		if errors.Join(err, db.Close()) == nil && len(pairs) > 0 {
			return pairs
		}
	}
	return nil
}

// kept are the directories of metadata that are here, the present one first.
func (r *restoring) kept() []string {
	fs, present := r.parts.FS, r.dir.Meta()
	var list []string
	names, err := fs.List(fs.PathDir(present))
	if err != nil {
		return nil
	}
	for _, name := range names {
		if name == fs.PathBase(present) {
			list = append([]string{present}, list...)
		} else if strings.HasPrefix(name, fs.PathBase(present)+".lost-") {
			list = append(list, fs.PathJoin(fs.PathDir(present), name))
		}
	}
	return list
}

// fillBatch is how many bytes go into the database at once.
const fillBatch = 512 << 10

// fill makes a database in dir of what read hands out; durable on return.
func fill(dir string, o pebblekv.Options, read func(func(key, value []byte) error) error) error {
	_, db, err := pebblekv.OpenHome(dir, o)
	if err != nil {
		return err
	}
	batch := &kv.Batch{}
	put := func(key, value []byte) error {
		batch.Put(append([]byte(nil), key...), append([]byte(nil), value...))
		if batch.Size() < fillBatch {
			return nil
		}
		err := db.Apply(batch)
		batch.Reset()
		return err
	}
	err = read(put)
	if err == nil {
		err = db.Apply(batch)
	}
	if err == nil {
		err = db.Flush()
	}
	return errors.Join(err, db.Close())
}
