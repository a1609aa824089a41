package clustertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/clustertest"
)

// Rule 6: every hour the metadata go into the stores of all nodes; when all voters have lost theirs, any one node
// finds them there, and everything that was there at that hour is read again, on the others too.
func TestRestoreFromStores(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 3}, func(c *clustertest.Cluster) {
		made := fill(c, 2, "kept", 40, 30_000)
		small := fill(c, 1, "small", 100, 300)
		c.Eventually("a backup", 2*time.Hour, func() bool {
			clustertest.Sleep(time.Minute)
			s := status(c)
			return s.Backup != nil && s.Backup.Inodes > 140
		})
		if s := status(c); s.Backup.Copies != 3 || s.Health != "ok" {
			t.Fatalf("%+v, %s %v", s.Backup, s.Health, s.Summary)
		}
		fsck(c)
		lost := fill(c, 1, "late", 3, 30_000)
		c.Kill(1, 2, 3)
		survivor := c.Hosts()[c.Rand.IntN(3)]
		for _, h := range c.Hosts() {
			h.LoseMetadata()
		}
		found, err := survivor.FindBackups()
		if err != nil || len(found) == 0 || !found[0].Verified || found[0].Inodes < 140 {
			t.Fatalf("%+v, %v", found, err)
		}
		for range 2 { // interrupted after the end and repeated
			if _, err := survivor.Restore(); err != nil {
				t.Fatal(err)
			}
		}
		c.Start(survivor.ID)
		if s := status(c); s.Leader != survivor.ID.String() {
			t.Errorf("%s leads", s.Leader)
		}
		if m := survivor.Node().Map(); m.Incarnation < 2 {
			t.Errorf("incarnation %d", m.Incarnation)
		}
		for _, h := range c.Hosts() {
			if h != survivor {
				c.Start(h.ID)
			}
		}
		c.Settle()
		for _, h := range c.Hosts() {
			same(c, h.ID, made)
			same(c, h.ID, small)
			for name := range lost {
				if _, err := (clustertest.Files{Host: h}).Get(context.Background(), name); !errors.Is(err, honeyant.NotExist) {
					t.Errorf("%s was made after the backup, and now: %v", name, err)
				}
			}
		}
		// What is written now has new numbers, and nothing of the lost hour is taken for it (rule 6).
		again := fill(c, survivor.ID, "again", 20, 30_000)
		for _, h := range c.Hosts() {
			same(c, h.ID, again)
			same(c, h.ID, made)
		}
		// The authority's key was in the backup, sealed for each of the voters.
		if err := c.Admits(104); err != nil { // numbers go on above a gap
			t.Error(err)
		}
		fsck(c, "before the metadata were promoted or restored") // the chunks of what is lost
		var next admin.BackupStatus
		if err := c.Leader().Command("backup.make", nil, &next); err != nil || next.Incarnation < 2 {
			t.Fatalf("%+v, %v", next, err)
		}
	})
}

// A backup that holds much less than the newest one replaces nothing, until a person says that it may.
func TestBackupOfAShrunkColony(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 1}, func(c *clustertest.Cluster) {
		ctx, files := context.Background(), clustertest.Files{Host: c.Host(1)}
		for i := range 1200 {
			if err := files.Create(ctx, fmt.Sprintf("f%d", i), []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := files.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		var first admin.BackupStatus
		if err := c.Leader().Command("backup.make", nil, &first); err != nil || first.Inodes < 1200 || first.Copies != 1 {
			t.Fatalf("%+v, %v", first, err)
		}
		for i := range 900 {
			if err := files.Remove(ctx, fmt.Sprintf("f%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := files.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		c.Eventually("an alarm", 2*time.Hour, func() bool {
			clustertest.Sleep(time.Minute)
			return status(c).Health == "degraded"
		})
		if s := status(c); s.Backup.Number != first.Number {
			t.Errorf("%+v", s.Backup)
		}
		var second admin.BackupStatus
		if err := c.Leader().Command("backup.make", nil, &second); !errors.Is(err, honeyant.Conflict) {
			t.Errorf("%v", err)
		}
		if err := c.Leader().Command("backup.make", map[string]bool{"accept_smaller": true}, &second); err != nil || second.Number <= first.Number {
			t.Errorf("%+v, %v", second, err)
		}
		if s := status(c); s.Health != "ok" || s.Backup.Number != second.Number {
			t.Errorf("%+v, %v", s.Backup, s.Summary)
		}
		var all []admin.BackupStatus
		if err := c.Leader().Command("backup.ls", nil, &all); err != nil || len(all) != 2 {
			t.Errorf("%+v, %v", all, err)
		}
		fsck(c)
	})
}

// No secret of the colony is in a backup (rule 33), and the state that Export leaves out is none that is missed.
func TestBackupHoldsNoSecrets(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 1}, func(c *clustertest.Cluster) {
		var made admin.BackupStatus
		if err := c.Leader().Command("backup.make", nil, &made); err != nil {
			t.Fatal(err)
		}
		c.Kill(1)
		err := c.Host(1).ReadBackup(func(key, value []byte) error {
			if bytes.Contains(key, []byte("secret.")) || bytes.Contains(value, []byte("PRIVATE KEY")) || key[0] == 'k' {
				t.Errorf("%q is in the backup", key)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// The inventory knows the chunks of backups that are listed, and takes those of one that was let go while its store was
// away for what they are.
func TestInventoryKnowsBackups(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 3}, func(c *clustertest.Cluster) {
		unknown := func() uint64 {
			var r admin.FsckReport
			if err := c.Leader().Command("fsck", nil, &r); err != nil || !r.OK || len(r.StoresSkipped) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
			return r.Unknown
		}
		made := func() {
			var s admin.BackupStatus
			if err := c.Leader().Command("backup.make", nil, &s); err != nil {
				t.Fatal(err)
			}
		}
		made()
		if n := unknown(); n != 0 {
			t.Errorf("%d unknown replicas with one backup", n)
		}
		away := honeyant.NodeID(1)
		if c.Leader().ID == away {
			away = 2
		}
		c.Stop(away)
		for range 3 {
			made()
		}
		c.Start(away)
		c.Settle()
		if n := unknown(); n != 2 { // the manifest and the only part of the first
			t.Errorf("%d unknown replicas after the first backup was let go", n)
		}
	})
}

// A restore beside metadata that are still there, interrupted before each step that changes what a start would find, is
// repeated, and then all is there.
func TestRestoreInterrupted(t *testing.T) {
	clustertest.Run(t, clustertest.Options{Nodes: 1}, func(c *clustertest.Cluster) {
		h := c.Host(1)
		made := fill(c, 1, "f", 20, 6000)
		if err := (clustertest.Files{Host: h}).Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := c.Leader().Command("backup.make", nil, nil); err != nil {
			t.Fatal(err)
		}
		c.Kill(1)
		for _, nth := range []int{0, 1, 1, 1} { // before raft goes aside; before meta does; before the new meta takes its place; before the new raft does
			if err := h.RestoreInterrupted(nth); err == nil {
				t.Errorf("not interrupted before rename %d", nth)
			}
		}
		if _, err := h.Restore(); err != nil {
			t.Fatal(err)
		}
		c.Start(1)
		c.Settle()
		same(c, 1, made)
		if m := h.Node().Map(); m.Incarnation != 2 {
			t.Errorf("incarnation %d", m.Incarnation)
		}
	})
}
