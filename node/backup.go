package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/backup"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
)

// newBackups makes what backs the metadata up while this node leads.
func (n *Node) newBackups() *backup.Maker {
	return backup.NewMaker(backup.Options{
		Meta: n.leader.Direct(), Chunks: n.chunks, Map: n.tracker.Map, Copy: n.database.aside, Before: n.sealAuthority, Every: n.cfg.BackupEvery, Log: n.log,
	})
}

// sealAuthority puts the authority's key into the state once more for each voter and learner, sealed with the key of
// that node: so it is in the backups, and a restore on one of them has it (rule 33). A backup without it is better than none.
func (n *Node) sealAuthority(ctx context.Context) {
	if err := n.sealForAll(ctx); err != nil {
		n.log.Warn("the backup of the metadata lacks the authority's key: after a restore from it no machine can join", "error", err)
	}
}

func (n *Node) sealForAll(ctx context.Context) error {
	ca, err := cluster.LoadCA(ctx, n.leader.Direct())
	if err != nil {
		return err
	}
	keys, err := meta.MemberKeys(n.database.View())
	m := n.tracker.Map()
	if err != nil || m == nil {
		return err
	}
	for _, one := range m.Nodes {
		name := cluster.SettingSealed(one.ID)
		there, err := meta.Do(ctx, n.leader.Direct(), &meta.GetSetting{Name: name})
		if err != nil {
			return err
		}
		keeps := one.State != honeyant.NodeRemoved && one.Role != honeyant.RoleNone
		if keeps == (len(there.Value) > 0) {
			continue
		}
		put := &meta.PutSetting{Name: name}
		if keeps {
			if put.Value, err = ca.Seal(keys[one.ID]); err != nil {
				return err
			}
		}
		if _, err := meta.Do(ctx, n.leader.Direct(), put); err != nil {
			return err
		}
	}
	return nil
}

// The memory of the database that a backup is read from: it is read once, in order.
const (
	asideCache    = 1 << 20
	asideMemtable = 256 << 10
)

// aside copies the state aside (by hard links), so that nothing waits, and lets use read the copy. For one at a time.
func (d *database) aside(use func(kv.Reader) error) error {
	path := filepath.Join(d.dir, "db-backup") // left over from a crash, OpenHome removes it
	if err := d.o.FS.RemoveAll(path); err != nil {
		return honeyant.E("node.backup", honeyant.Internal, path, err)
	}
	defer d.o.FS.RemoveAll(path)
	if err := d.State.Checkpoint(path); err != nil {
		return err
	}
	o := d.o
	o.CacheBytes, o.MemtableBytes = asideCache, asideMemtable
	db, err := pebblekv.Open(path, o)
	if err != nil {
		return err
	}
	return errors.Join(use(db), db.Close())
}

// applied answers reads from this replica's applied state, which is committed but may be old.
type applied struct{ d *database }

// Do implements meta.Doer.
func (a applied) Do(_ context.Context, op meta.Op) (meta.Reply, error) { return a.d.Query(op) }

// BackupRequest asks for a backup of the metadata now.
type BackupRequest struct {
	AcceptSmaller bool `json:"accept_smaller"` // although it holds much less than the one before
}

// makeBackup makes one on the leader.
func (n *Node) makeBackup(ctx context.Context, req BackupRequest) (admin.BackupStatus, error) {
	maker, ok := n.leadership.backups()
	if !ok {
		return admin.BackupStatus{}, honeyant.E("node.Command", honeyant.Unavailable, "", errors.New("the leader has just changed; try again"))
	}
	k, err := maker.Make(ctx, req.AcceptSmaller)
	if err != nil {
		return admin.BackupStatus{}, err
	}
	return backupStatus(k), nil
}

func backupStatus(k *backup.Kept) admin.BackupStatus {
	return admin.BackupStatus{Number: k.Number, Incarnation: k.Holds.Incarnation, Made: k.Made, AgeSeconds: max(0, time.Since(k.Made).Seconds()),
		Inodes: k.Holds.Inodes, Chunks: k.Holds.Chunks, Bytes: int64(k.Length), Copies: k.Copies()}
}

// listBackups lists the backups that are kept, newest first.
func (n *Node) listBackups(ctx context.Context, _ admin.None) ([]admin.BackupStatus, error) {
	list, err := backup.Load(ctx, n.leader.Direct())
	if err != nil {
		return nil, err
	}
	all := []admin.BackupStatus{}
	for i := range list.Kept {
		all = append(all, backupStatus(&list.Kept[i]))
	}
	return all, nil
}

// backupLate is how many times the usual interval the newest backup may be old, if the last attempt failed, before
// status says so.
const backupLate = 2

// judgeBackups tells in status how the backups stand, and what is wrong with them.
func (n *Node) judgeBackups(s *admin.Status, worse func(string), say func(string, ...any)) {
	list, err := backup.Load(context.Background(), applied{n.database})
	if err != nil {
		worse("degraded")
		say("The list of backups of the metadata can not be read: %v.", err)
		return
	}
	if k := list.Newest(); k != nil {
		newest := backupStatus(k)
		s.Backup = &newest
	}
	if list.Alarm != "" {
		worse("degraded")
		say("%s", list.Alarm)
	}
	if service, ok := n.leadership.jobs(); ok {
		for _, job := range service.Workers().List() {
			if job.Name != "backup" || job.Failing == 0 {
				continue
			}
			switch {
			case s.Backup == nil:
				say("The metadata have no backup yet: %v.", job.LastErr)
			case s.Backup.AgeSeconds > (backupLate * n.cfg.BackupEvery).Seconds():
				worse("degraded")
				say("The newest backup of the metadata is of %s: %v.", s.Backup.Made.Format("2006-01-02 15:04 MST"), job.LastErr)
			}
		}
	}
}

// backupMetrics tells when the newest backup was made, as far as this node's state knows.
func (n *Node) backupMetrics(gauge func(string, uint64)) {
	list, err := backup.Load(context.Background(), applied{n.database})
	if err != nil {
		return
	}
	gauge("honeyant_backup_alarm", flag(list.Alarm != ""))
	if k := list.Newest(); k != nil {
		gauge("honeyant_backup_last_success_timestamp_seconds", uint64(k.Made.Unix()))
		gauge("honeyant_backup_inodes", k.Holds.Inodes)
		gauge("honeyant_backup_bytes", k.Length)
		gauge("honeyant_backup_copies", uint64(k.Copies()))
	}
}
