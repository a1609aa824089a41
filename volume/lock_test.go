package volume_test

import (
	"math"
	"testing"
	"testing/synctest"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

// F_GETLK of a file that was just made under an exclusive lease used to be ESTALE, since the leader had not heard of it:
// SQLite asks so of the index of its write-ahead log, and took it for a disk error.
func TestLocksOfAFileThatTheLeaderDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := volumetest.NewCluster(t, 3, 1<<30)
		v, _ := c.OpenLeased(t, nil)
		dir := mkdir(t, v, honeyant.RootIno, "d")
		made := func(name string) *volume.File {
			_, f, err := v.Create(bg, volume.NewNode{Parent: dir, Name: name, Mode: 0o644}, readWrite, true)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		made("first")
		local := v.Stats().Journal.Local
		f := made("second")
		if v.Stats().Journal.Local == local {
			t.Fatal("the leader made it")
		}
		lock := meta.FileLock{Kind: meta.LockPosix, Write: true, Owner: 1, End: math.MaxInt64}
		if granted, _, err := v.GetLock(bg, f.Ino(), lock); err != nil || !granted {
			t.Fatal(granted, err)
		}
		if err := v.SetLock(bg, made("third").Ino(), lock, false); err != nil {
			t.Fatal(err)
		}
		if err := v.SetLock(bg, f.Ino(), lock, false); err != nil {
			t.Fatal(err)
		}
		lock.Owner = 2
		if granted, other, err := v.GetLock(bg, f.Ino(), lock); err != nil || granted || other.Owner != 1 {
			t.Fatal(granted, other, err)
		}
	})
}
