package metatest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// aclModel is an ACL: owner, group and other permissions, and named ones in the order given.
type aclModel struct {
	owner, group, other uint16
	named               [][2]uint32 // user (1) or group (2) and ID in the high half, permissions
	mask                int         // -1: none
}

// bytes is the form of the kernel's headers, written from the specification.
func (a *aclModel) bytes() []byte {
	b := []byte{2, 0, 0, 0}
	put := func(tag, perm uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	put(1, a.owner, 0xffffffff)
	for _, n := range a.named {
		if n[0]>>24 == 1 {
			put(2, uint16(n[1]), n[0]&0xffff)
		}
	}
	put(4, a.group, 0xffffffff)
	for _, n := range a.named {
		if n[0]>>24 == 2 {
			put(8, uint16(n[1]), n[0]&0xffff)
		}
	}
	if a.mask >= 0 {
		put(16, uint16(a.mask), 0xffffffff)
	}
	put(32, a.other, 0xffffffff)
	return b
}

func aclOf(b []byte) *aclModel {
	a := &aclModel{mask: -1}
	for b = b[4:]; len(b) > 0; b = b[8:] {
		perm, id := binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
		switch b[0] {
		case 1:
			a.owner = perm
		case 2:
			a.named = append(a.named, [2]uint32{1<<24 | id, uint32(perm)})
		case 4:
			a.group = perm
		case 8:
			a.named = append(a.named, [2]uint32{2<<24 | id, uint32(perm)})
		case 16:
			a.mask = int(perm)
		case 32:
			a.other = perm
		}
	}
	return a
}

// bits is what the ACL shows as mode.
func (a *aclModel) bits() uint32 {
	g := uint32(a.group)
	if a.mask >= 0 {
		g = uint32(a.mask)
	}
	return uint32(a.owner)<<6 | g<<3 | uint32(a.other)
}

// setBits is chmod.
func (a *aclModel) setBits(mode uint32) {
	a.owner, a.other = uint16(mode>>6&7), uint16(mode&7)
	if a.mask >= 0 {
		a.mask = int(mode >> 3 & 7)
	} else {
		a.group = uint16(mode >> 3 & 7)
	}
}

// minimal tells an ACL that is nothing but mode bits.
func (a *aclModel) minimal() bool { return a.mask < 0 && len(a.named) == 0 }

func (n *node) chmod() {
	if b, has := n.xattrs[accessACL]; has {
		a := aclOf(b)
		a.setBits(n.attr.Mode)
		n.xattrs[accessACL] = a.bytes()
	}
}

// inherit gives a new node the default ACL of its directory.
func (n *node) inherit(def []byte) {
	if n.isDir() {
		n.xattrs[defaultACL] = def
	}
	a := aclOf(def)
	a.setBits(a.bits() & n.attr.Mode)
	n.attr.Mode = n.attr.Mode&^0o777 | a.bits()
	if !a.minimal() {
		n.xattrs[accessACL] = a.bytes()
	}
}

func badXattr(name string) honeyant.Kind {
	if len(name) > 255 {
		return honeyant.OutOfRange
	}
	space, rest, _ := strings.Cut(name, ".")
	switch {
	case name == accessACL || name == defaultACL:
	case space != "user" && space != "trusted" && space != "security":
		return honeyant.Unsupported
	case rest == "":
		return honeyant.Invalid
	}
	return ok
}

func (n *node) mayHave(name string) honeyant.Kind {
	if strings.HasPrefix(name, "user.") && !n.isDir() && !n.isFile() {
		return honeyant.NotPermitted
	}
	if strings.HasPrefix(name, "system.") && n.attr.IsSymlink() {
		return honeyant.Unsupported
	}
	return ok
}

func (m *model) setXattr(o *meta.SetXattr, got *meta.AttrReply) (honeyant.Kind, func() error) {
	if k := badXattr(o.Name); k != ok {
		return k, nil
	}
	n := m.nodes[o.Ino]
	switch {
	case o.Create && o.Replace:
		return honeyant.Invalid, nil
	case len(o.Value) > 64<<10:
		return honeyant.TooBig, nil
	case n == nil:
		return honeyant.Stale, nil
	}
	if k := n.mayHave(o.Name); k != ok {
		return k, nil
	}
	_, had := n.xattrs[o.Name]
	switch {
	case had && o.Create:
		return honeyant.Exist, nil
	case !had && o.Replace:
		return honeyant.NoAttr, nil
	}
	isACL := o.Name == accessACL || o.Name == defaultACL
	if isACL && len(o.Value) > 0 && (len(o.Value) < 28 || o.Value[0] != 2) {
		return honeyant.Invalid, nil // the generator makes no other faults
	}
	if o.Name == defaultACL && !n.isDir() && len(o.Value) > 0 {
		return honeyant.Permission, nil
	}
	return ok, func() error {
		m.changed(n)
		keep := true
		if isACL {
			keep = len(o.Value) > 0
		}
		if o.Name == accessACL {
			if keep {
				a := aclOf(o.Value)
				n.attr.Mode = n.attr.Mode&^0o777 | a.bits()
				keep = !a.minimal()
			}
			if o.KillSgid {
				n.attr.Mode &^= 0o2000
			}
		}
		if keep {
			n.xattrs[o.Name] = bytes.Clone(o.Value)
		} else {
			delete(n.xattrs, o.Name)
		}
		return m.same("setxattr", n, got.Attr)
	}
}

func (m *model) removeXattr(o *meta.RemoveXattr, got *meta.AttrReply) (honeyant.Kind, func() error) {
	if k := badXattr(o.Name); k != ok {
		return k, nil
	}
	n := m.nodes[o.Ino]
	if n == nil {
		return honeyant.Stale, nil
	}
	if k := n.mayHave(o.Name); k != ok {
		return k, nil
	}
	if _, had := n.xattrs[o.Name]; !had {
		return honeyant.NoAttr, nil
	}
	return ok, func() error {
		delete(n.xattrs, o.Name)
		m.changed(n)
		return m.same("removexattr", n, got.Attr)
	}
}

func (m *model) getXattr(o *meta.GetXattr, got *meta.XattrReply) (honeyant.Kind, func() error) {
	if k := badXattr(o.Name); k != ok {
		return k, nil
	}
	n := m.nodes[o.Ino]
	if n == nil {
		return honeyant.Stale, nil
	}
	want, had := n.xattrs[o.Name]
	if !had {
		return honeyant.NoAttr, nil
	}
	return ok, func() error {
		if !bytes.Equal(want, got.Value) {
			return fmt.Errorf("attribute %s of inode %d: got %x, want %x", o.Name, o.Ino, got.Value, want)
		}
		return nil
	}
}

// lockSpan is how many bytes of lock range are told apart; the last stands for all after it.
const lockSpan = 24

// lockModel says for each owner and kind what it holds of each byte: 0, 1 read, 2 write.
type lockModel map[[2]uint64]*[lockSpan]uint8

func lockRange(l *meta.FileLock) (from, to uint64) {
	if l.Kind == meta.LockFlock {
		return 0, lockSpan - 1
	}
	return min(l.Start, lockSpan-1), min(l.End, lockSpan-1)
}

func lockWish(l *meta.FileLock) uint8 {
	if l.Write {
		return 2
	}
	return 1
}

func (l lockModel) granted(want *meta.FileLock) bool {
	from, to := lockRange(want)
	for owner, held := range l {
		if owner[0] != uint64(want.Kind) || owner[1] == want.Owner {
			continue
		}
		for i := from; i <= to; i++ {
			if held[i]+lockWish(want) > 2 && held[i] > 0 {
				return false
			}
		}
	}
	return true
}

func (l lockModel) set(want *meta.FileLock, to uint8) {
	owner := [2]uint64{uint64(want.Kind), want.Owner}
	if l[owner] == nil {
		l[owner] = new([lockSpan]uint8)
	}
	from, end := lockRange(want)
	for i := from; i <= end; i++ {
		l[owner][i] = to
	}
}

func (m *model) lock(ino honeyant.Ino, want *meta.FileLock, take bool, got *meta.LockReply) (honeyant.Kind, func() error) {
	n := m.nodes[ino]
	if n == nil {
		return honeyant.Stale, nil
	}
	return ok, func() error {
		granted := n.locks.granted(want)
		if granted != got.Granted {
			return fmt.Errorf("lock %+v granted: %v, should be %v; conflict %+v, held %v", *want, got.Granted, granted, got.Conflict, n.locks)
		}
		if !granted {
			c := got.Conflict
			if n.locks.granted(want) || c.Owner == want.Owner || c.Kind != want.Kind || !c.Write && !want.Write {
				return fmt.Errorf("lock %+v: conflict %+v is none", *want, c)
			}
			return nil
		}
		if take {
			if n.locks == nil {
				n.locks = lockModel{}
			}
			n.locks.set(want, lockWish(want))
		}
		return nil
	}
}
