package meta

import (
	"fmt"
	"testing"

	"github.com/honeyant/honeyant"
)

// manyLocks are n locks of a session, one owner each if owners, far from the start of the file.
func manyLocks(s honeyant.SessionID, n int, owners bool) (l lockList) {
	for i := range uint64(n) {
		one := FileLock{Kind: LockPosix, Write: true, Session: s, Owner: 1, PID: 1 << 31, Start: 1<<62 + 10*i, End: 1<<62 + 10*i + 4}
		if owners {
			one.Owner = 1<<63 + i
		}
		l = append(l, one)
	}
	return l
}

// An unlock that cuts a lock in two when the inode has as many as it may is refused, and the list stays readable: else
// nobody could lock, close the session or delete the file any more.
func TestUnlockDoesNotOutgrowTheList(t *testing.T) {
	v := newVolume(t)
	ino := v.mk(1, "f", honeyant.ModeFile)
	v.edit(func(tx *Tx) {
		tx.storeLocks(1, ino, manyLocks(9, maxLocks, false))
		tx.put(heldKey(9, 1, ino), nil)
		rec := sessionRecord{}
		tx.store(sessionKey(9), rec.fields)
	})
	lock := func(from, to uint64) FileLock {
		return FileLock{Kind: LockPosix, Write: true, Owner: 1, Start: 1<<62 + from, End: 1<<62 + to}
	}
	v.refused(&Lock{Volume: 1, Ino: ino, Lock: FileLock{Kind: LockPosix, Write: true, Owner: 1}}, honeyant.NoLocks)
	v.refused(&Unlock{Volume: 1, Ino: ino, Lock: lock(12, 12)}, honeyant.NoLocks)
	v.do(&Unlock{Volume: 1, Ino: ino, Lock: lock(20, 24)})
	v.do(&Unlock{Volume: 1, Ino: ino, Lock: lock(12, 12)})
	v.do(&CloseSession{Session: 9})
	if faults, err := Check(v.db); err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
}

// A session ends although the lists of locks that its own stand in are, together, more than one operation may change.
func TestCloseSessionBesideLongLockLists(t *testing.T) {
	const files, others = 30, 2000
	v := newVolume(t)
	for n := range files {
		ino := v.mk(1, fmt.Sprint(n), honeyant.ModeFile)
		v.edit(func(tx *Tx) {
			own := FileLock{Kind: LockPosix, Session: 9, Owner: 1, End: 1}
			tx.storeLocks(1, ino, append(lockList{own}, manyLocks(8, others, true)...))
			tx.put(heldKey(9, 1, ino), nil)
			tx.put(heldKey(8, 1, ino), nil)
		})
	}
	for _, s := range []honeyant.SessionID{8, 9} {
		rec := sessionRecord{}
		v.edit(func(tx *Tx) { tx.store(sessionKey(s), rec.fields) })
	}
	steps := 0
	for there := true; there; steps++ {
		if steps == 2*files {
			t.Fatalf("not over after %d steps", steps)
		}
		v.do(&CloseSession{Session: 9})
		tx := newTx(v.db, Env{})
		there = tx.load(sessionKey(9), new(sessionRecord).fields)
	}
	if steps < 2 {
		t.Fatal("the lists fit one step: the test proves nothing")
	}
	if faults, err := Check(v.db); err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
}
