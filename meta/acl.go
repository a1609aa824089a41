package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/honeyant/honeyant"
)

// Extended attributes that mean something to the file system.
const (
	xattrAccess  = "system.posix_acl_access"
	xattrDefault = "system.posix_acl_default"
	xattrCaps    = "security.capability"
)

// An acl is a POSIX access control list (acl(5)) in the order the kernel demands: owner,
// users, group, groups, mask, others. nil stands for none.
type acl []aclEntry

type aclEntry struct {
	tag  uint16
	perm uint16 // rwx, as the low three mode bits
	id   uint32 // of a user or group entry
}

// The tags of entries, and the head of the binary form (struct posix_acl_xattr_header).
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20

	aclVersion = 2
	aclNoID    = 0xffffffff
)

// parseACL reads the binary form of an ACL. A value without entries stands for none.
func parseACL(raw []byte) (acl, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) < 4 || (len(raw)-4)%8 != 0 {
		return nil, fmt.Errorf("an ACL of %d bytes", len(raw))
	}
	if v := binary.LittleEndian.Uint32(raw); v != aclVersion {
		return nil, fmt.Errorf("ACL version %d", v)
	}
	var list acl
	for raw = raw[4:]; len(raw) > 0; raw = raw[8:] {
		list = append(list, aclEntry{
			tag:  binary.LittleEndian.Uint16(raw),
			perm: binary.LittleEndian.Uint16(raw[2:]),
			id:   binary.LittleEndian.Uint32(raw[4:]),
		})
	}
	return list, list.check()
}

// check does what the kernel's posix_acl_valid does.
func (l acl) check() error {
	if len(l) == 0 {
		return nil
	}
	at, needMask := uint16(0), false // at: the tag before
	for n, e := range l {
		ok := e.perm&^7 == 0
		switch e.tag {
		case aclUserObj:
			ok = ok && at == 0
		case aclUser:
			ok = ok && (at == aclUserObj || at == aclUser) && e.id != aclNoID
			needMask = true
		case aclGroupObj:
			ok = ok && (at == aclUserObj || at == aclUser)
		case aclGroup:
			ok = ok && (at == aclGroupObj || at == aclGroup) && e.id != aclNoID
			needMask = true
		case aclMask:
			ok = ok && (at == aclGroupObj || at == aclGroup)
		case aclOther:
			ok = ok && (at == aclMask || !needMask && at == aclGroupObj)
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("ACL entry %d is not allowed there", n)
		}
		at = e.tag
	}
	if at != aclOther {
		return fmt.Errorf("the ACL has no entry for others")
	}
	return nil
}

// bytes is the binary form.
func (l acl) bytes() []byte {
	raw := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+8*len(l)), aclVersion)
	for _, e := range l {
		id := e.id
		if e.tag != aclUser && e.tag != aclGroup {
			id = aclNoID
		}
		raw = binary.LittleEndian.AppendUint16(raw, e.tag)
		raw = binary.LittleEndian.AppendUint16(raw, e.perm)
		raw = binary.LittleEndian.AppendUint32(raw, id)
	}
	return raw
}

// mode is the permission bits that the ACL shows in stat(2), and whether they say all of it.
func (l acl) mode() (bits uint32, all bool) {
	all = true
	var mask *aclEntry
	for n := range l {
		e := &l[n]
		switch e.tag {
		case aclUserObj:
			bits |= uint32(e.perm) << 6
		case aclGroupObj:
			bits |= uint32(e.perm) << 3
		case aclOther:
			bits |= uint32(e.perm)
		case aclMask:
			mask, all = e, false
		default:
			all = false
		}
	}
	if mask != nil {
		bits = bits&^0o070 | uint32(mask.perm)<<3
	}
	return bits, all
}

// group is the entry that the group bits of the mode stand for: the mask if there is one.
func (l acl) group() *aclEntry {
	var found *aclEntry
	for n := range l {
		if l[n].tag == aclMask || l[n].tag == aclGroupObj && found == nil {
			found = &l[n]
		}
	}
	return found
}

// chmod makes the ACL agree with new permission bits.
func (l acl) chmod(mode uint32) {
	for n := range l {
		switch e := &l[n]; e.tag {
		case aclUserObj:
			e.perm = uint16(mode >> 6 & 7)
		case aclOther:
			e.perm = uint16(mode & 7)
		}
	}
	if g := l.group(); g != nil {
		g.perm = uint16(mode >> 3 & 7)
	}
}

// create turns a default ACL into the access ACL of something made with mode: both lose what
// the other does not grant. It changes the list and returns the mode.
func (l acl) create(mode uint32) uint32 {
	bits := mode & 0o777
	for n := range l {
		switch e := &l[n]; e.tag {
		case aclUserObj:
			e.perm &= uint16(bits >> 6 & 7)
			bits = bits&^0o700 | uint32(e.perm)<<6
		case aclOther:
			e.perm &= uint16(bits & 7)
			bits = bits&^0o007 | uint32(e.perm)
		}
	}
	if g := l.group(); g != nil {
		g.perm &= uint16(bits >> 3 & 7)
		bits = bits&^0o070 | uint32(g.perm)<<3
	}
	return mode&^0o777 | bits
}

// loadACL reads the ACL kept under name, nil if there is none.
func (t *Tx) loadACL(op string, v honeyant.VolumeID, ino honeyant.Ino, name string) (acl, error) {
	raw, ok := t.get(xattrKey(v, ino, name))
	if !ok {
		return nil, t.err
	}
	list, err := parseACL(raw)
	if err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, inoString(ino), err)
	}
	return list, nil
}

// chmodACL makes an access ACL follow the mode.
func (t *Tx) chmodACL(op string, v honeyant.VolumeID, i *Inode) error {
	if i.Marks&markAccessACL == 0 {
		return nil
	}
	list, err := t.loadACL(op, v, i.Attr.Ino, xattrAccess)
	if err != nil || list == nil {
		return err
	}
	list.chmod(i.Attr.Mode)
	t.put(xattrKey(v, i.Attr.Ino, xattrAccess), list.bytes())
	return nil
}

// inheritACL gives a new inode what its directory's default ACL says, or applies the umask.
func (o *Make) inheritACL(op string, tx *Tx, dir, i *Inode) error {
	if i.Attr.IsSymlink() {
		return nil
	}
	var list acl
	if dir.Marks&markDefaultACL != 0 {
		var err error
		if list, err = tx.loadACL(op, o.Volume, o.Parent, xattrDefault); err != nil {
			return err
		}
	}
	if list == nil {
		i.Attr.Mode &^= o.Umask & 0o777
		return nil
	}
	if i.Attr.IsDir() {
		tx.put(xattrKey(o.Volume, i.Attr.Ino, xattrDefault), list.bytes())
		i.Marks |= markXattr | markDefaultACL
	}
	i.Attr.Mode = list.create(i.Attr.Mode)
	if _, all := list.mode(); !all {
		tx.put(xattrKey(o.Volume, i.Attr.Ino, xattrAccess), list.bytes())
		i.Marks |= markXattr | markAccessACL
	}
	return nil
}
