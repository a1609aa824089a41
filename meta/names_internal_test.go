package meta

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
)

// volume is a founded volume, changed through Eval and through the records directly.
type volume struct {
	t  testing.TB
	db kv.DB
}

func newVolume(t testing.TB) *volume {
	v := &volume{t, kvtest.NewMem()}
	v.do(&Bootstrap{Cluster: "x"})
	return v
}

func (v *volume) try(op Op) (Reply, error) {
	v.t.Helper()
	reply, changes, err := Eval(v.db, Env{Now: honeyant.Time{Sec: 1}, Session: 9}, op)
	if err == nil {
		err = v.db.Apply(changes)
	}
	return reply, err
}

func (v *volume) do(op Op) Reply {
	v.t.Helper()
	reply, err := v.try(op)
	if err != nil {
		v.t.Fatalf("%T: %v", op, err)
	}
	return reply
}

func (v *volume) refused(op Op, kind honeyant.Kind) {
	v.t.Helper()
	if _, err := v.try(op); !errors.Is(err, kind) {
		v.t.Errorf("%T: %v, should be %q", op, err, kind)
	}
}

// edit changes records behind the operations' back.
func (v *volume) edit(fn func(tx *Tx)) {
	v.t.Helper()
	tx := newTx(v.db, Env{})
	fn(tx)
	_, changes, err := tx.result(nil, nil)
	if err == nil {
		err = v.db.Apply(changes)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) mk(parent honeyant.Ino, name string, mode uint32) honeyant.Ino {
	v.t.Helper()
	return v.do(&Make{Volume: 1, Parent: parent, Name: name, Mode: mode, Exclusive: true}).(*EntryReply).Attr.Ino
}

// TestEqualCookies: entries whose hashes are equal are each listed once when the listing goes
// on by name [27]. No such names are known, so the keys are forged.
func TestEqualCookies(t *testing.T) {
	v := newVolume(t)
	ino := v.mk(1, "real", honeyant.ModeFile)
	v.edit(func(tx *Tx) {
		d := dentry{Ino: ino, Type: honeyant.ModeFile}
		for _, name := range []string{"a", "ab", "b", "c"} {
			tx.store(append(dentryFrom(1, 1, 77), name...), d.fields)
		}
	})
	var seen []string
	o := &ReadDir{Volume: 1, Dir: 1, Limit: 1, Plus: true}
	for {
		r := v.do(o).(*ReadDirReply)
		for _, e := range r.Entries {
			seen = append(seen, e.Name)
			o.Cookie, o.After = e.Cookie, e.Name
		}
		if r.EOF {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "a ab b c real" {
		t.Fatal(got)
	}
	if r := v.do(&ReadDir{Volume: 1, Dir: 1, Cookie: 77}).(*ReadDirReply); len(r.Entries) != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestTooManyLinks(t *testing.T) {
	v := newVolume(t)
	full, sub := v.mk(1, "full", honeyant.ModeDir), v.mk(1, "sub", honeyant.ModeDir)
	file, plain := v.mk(1, "file", honeyant.ModeFile), v.mk(full, "plain", honeyant.ModeFile)
	_, _ = sub, plain
	v.edit(func(tx *Tx) {
		for _, ino := range []honeyant.Ino{full, file} {
			i, _ := tx.inode("", 1, ino)
			i.Attr.Nlink = MaxLinks
			tx.putInode(1, i)
		}
	})
	v.refused(&Make{Volume: 1, Parent: full, Name: "d", Mode: honeyant.ModeDir}, honeyant.TooManyLinks)
	v.refused(&Rename{Volume: 1, OldParent: 1, OldName: "sub", NewParent: full, NewName: "d"}, honeyant.TooManyLinks)
	v.refused(&Rename{Volume: 1, OldParent: 1, OldName: "sub", NewParent: full, NewName: "plain", Exchange: true}, honeyant.TooManyLinks)
	v.refused(&Link{Volume: 1, Ino: file, Parent: 1, Name: "more"}, honeyant.TooManyLinks)
	v.mk(full, "f", honeyant.ModeFile)
}

// TestRenameFlags is the table of what rename(2) says.
func TestRenameFlags(t *testing.T) {
	for _, c := range []struct {
		op   Rename
		kind honeyant.Kind // Other: works
	}{
		{Rename{OldName: "f", NewName: "g"}, honeyant.Other},
		{Rename{OldName: "f", NewName: "f"}, honeyant.Other},
		{Rename{OldName: "f", NewName: "hard"}, honeyant.Other},
		{Rename{OldName: "f", NewName: "f", NoReplace: true}, honeyant.Exist},
		{Rename{OldName: "f", NewName: "g", NoReplace: true}, honeyant.Exist},
		{Rename{OldName: "f", NewName: "new", NoReplace: true}, honeyant.Other},
		{Rename{OldName: "f", NewName: "new", Exchange: true}, honeyant.NotExist},
		{Rename{OldName: "f", NewName: "full", Exchange: true}, honeyant.Other},
		{Rename{OldName: "f", NewName: "g", Exchange: true, NoReplace: true}, honeyant.Invalid},
		{Rename{OldName: "none", NewName: "g"}, honeyant.NotExist},
		{Rename{OldName: "f", NewName: "empty"}, honeyant.IsDir},
		{Rename{OldName: "empty", NewName: "f"}, honeyant.NotDir},
		{Rename{OldName: "empty", NewName: "full"}, honeyant.NotEmpty},
		{Rename{OldName: "full", NewName: "empty"}, honeyant.Other},
		{Rename{OldName: "full", NewParent: 3, NewName: "x"}, honeyant.Invalid},
		{Rename{OldName: "full", NewParent: 4, NewName: "x"}, honeyant.Invalid},
		{Rename{OldParent: 4, OldName: "leaf", NewName: "full"}, honeyant.NotEmpty}, // full is above leaf
		{Rename{OldParent: 3, OldName: "in", NewName: "full"}, honeyant.NotEmpty},
		{Rename{OldParent: 3, OldName: "in", NewName: "full", Exchange: true}, honeyant.Invalid},
		{Rename{OldName: ".", NewName: "g"}, honeyant.Invalid},
		{Rename{OldName: "f", NewName: ".."}, honeyant.Invalid},
		{Rename{OldName: "f", NewName: strings.Repeat("n", 256)}, honeyant.NameTooLong},
	} {
		v := newVolume(t)
		v.mk(1, "empty", honeyant.ModeDir)
		v.mk(1, "full", honeyant.ModeDir) // 3
		v.mk(3, "in", honeyant.ModeDir)   // 4
		f := v.mk(1, "f", honeyant.ModeFile)
		v.do(&Link{Volume: 1, Ino: f, Parent: 1, Name: "hard"})
		v.mk(1, "g", honeyant.ModeFile)
		v.mk(4, "leaf", honeyant.ModeFile)
		c.op.Volume, c.op.OldParent, c.op.NewParent = 1, max(c.op.OldParent, 1), max(c.op.NewParent, 1)
		_, err := v.try(&c.op)
		if (err == nil) != (c.kind == honeyant.Other) || err != nil && !errors.Is(err, c.kind) {
			t.Errorf("%+v: %v, should be %q", c.op, err, c.kind)
		}
		if faults, err := Check(v.db); err != nil || len(faults) > 0 {
			t.Errorf("%+v: %v %v", c.op, faults, err)
		}
	}
}

func TestXattrNamesAreBounded(t *testing.T) {
	v := newVolume(t)
	ino := v.mk(1, "f", honeyant.ModeFile)
	n := 0
	for ; ; n++ {
		_, err := v.try(&SetXattr{Volume: 1, Ino: ino, Name: fmt.Sprintf("user.%0200d", n), Value: []byte("x")})
		if errors.Is(err, honeyant.NoSpace) {
			break
		}
		if err != nil || n > 1000 {
			t.Fatal(n, err)
		}
	}
	if n != maxXattrNames/206 {
		t.Fatalf("%d names", n)
	}
	v.do(&SetXattr{Volume: 1, Ino: ino, Name: fmt.Sprintf("user.%0200d", 0), Value: []byte("y")}) // an old one may change
	v.do(&Unlink{Volume: 1, Parent: 1, Name: "f"})
	for v.do(&Reap{Volume: 1, Limit: 100}).(*ReapReply).Left {
	}
	if faults, err := Check(v.db); err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
}

// TestDropLocks: the locks of a session that is over go, those of others stay.
func TestDropLocks(t *testing.T) {
	v := newVolume(t)
	ino := v.mk(1, "f", honeyant.ModeFile)
	lock := func(s honeyant.SessionID, from uint64) {
		_, changes, err := Eval(v.db, Env{Session: s}, &Lock{Volume: 1, Ino: ino, Lock: FileLock{Kind: LockPosix, Write: true, Start: from, End: from}})
		if err != nil || v.db.Apply(changes) != nil {
			t.Fatal(err)
		}
	}
	lock(1, 0)
	lock(1, 5)
	lock(2, 9)
	v.edit(func(tx *Tx) { tx.dropLocks(1, 1, ino) })
	tx := newTx(v.db, Env{})
	if l := tx.loadLocks(1, ino); len(l) != 1 || l[0].Session != 2 {
		t.Fatalf("%+v", l)
	}
	if faults, err := Check(v.db); err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
}

// TestACLs has the cases of posix_acl_valid.
func TestACLs(t *testing.T) {
	e := func(tag, perm uint16, id uint32) aclEntry { return aclEntry{tag, perm, id} }
	u, g, m, o := e(aclUserObj, 7, aclNoID), e(aclGroupObj, 5, aclNoID), e(aclMask, 4, aclNoID), e(aclOther, 1, aclNoID)
	named, group := e(aclUser, 6, 1000), e(aclGroup, 2, 7)
	for _, c := range []struct {
		list acl
		ok   bool
		mode uint32
		all  bool
	}{
		{acl{u, g, o}, true, 0o751, true},
		{acl{u, g, m, o}, true, 0o741, false},
		{acl{u, named, g, group, m, o}, true, 0o741, false},
		{acl{u, named, g, o}, false, 0, false}, // needs a mask
		{acl{g, u, o}, false, 0, false},
		{acl{u, g}, false, 0, false},
		{acl{u, g, o, o}, false, 0, false},
		{acl{u, u, g, o}, false, 0, false},
		{acl{u, e(aclUser, 8, 1), g, m, o}, false, 0, false},
		{acl{u, e(aclUser, 1, aclNoID), g, m, o}, false, 0, false},
		{acl{u, g, e(0x40, 1, 1), o}, false, 0, false},
	} {
		raw := c.list.bytes()
		list, err := parseACL(raw)
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.list, err)
		}
		if !c.ok || err != nil {
			continue
		}
		if mode, all := list.mode(); mode != c.mode || all != c.all || !bytes.Equal(list.bytes(), raw) {
			t.Errorf("%v: mode %o, all %v", c.list, mode, all)
		}
	}
}

func FuzzACL(f *testing.F) {
	f.Add(acl{{aclUserObj, 7, aclNoID}, {aclUser, 6, 1}, {aclGroupObj, 5, aclNoID}, {aclMask, 4, aclNoID}, {aclOther, 1, aclNoID}}.bytes())
	f.Add([]byte{2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := parseACL(raw)
		if err != nil || list == nil {
			return
		}
		again, err := parseACL(list.bytes())
		if err != nil || !bytes.Equal(again.bytes(), list.bytes()) {
			t.Fatalf("%v became %v (%v)", list, again, err)
		}
		bits, _ := list.mode()
		list.chmod(bits)
		if after, _ := list.mode(); after != bits {
			t.Fatalf("%v: mode %o became %o", again, bits, after)
		}
	})
}
