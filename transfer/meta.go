package transfer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Notes are what could not be kept, without the content being wrong.
const (
	noteOwner = "owner not kept: only root may give files away"
	noteXattr = "extended attribute not kept: the target does not take it: "
	noteMode  = "set-user-ID and set-group-ID bits dropped: the owner could not be kept"
)

// object names what metadata are read from and written to: an open file or directory
// (byFile), which nobody can put another in the place of, or a name in an open directory
// (byName), which is never followed if it is a symbolic link.
type object struct {
	path   string
	follow int // 0 follows /proc's link to the open file; AT_SYMLINK_NOFOLLOW does not
}

func byFile(f *os.File) object { return object{fmt.Sprintf("/proc/self/fd/%d", f.Fd()), 0} }

func byName(dir *os.File, name string) object {
	return object{fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name), unix.AT_SYMLINK_NOFOLLOW}
}

// readXattrs reads all extended attributes that a copy keeps, sorted by name.
func (o object) readXattrs() ([]Xattr, error) {
	names, err := o.listXattrs()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	get := unix.Getxattr
	if o.follow != 0 {
		get = unix.Lgetxattr
	}
	var all []Xattr
	buf := make([]byte, 4096)
	for _, name := range names {
		n, err := get(o.path, name, buf)
		if errors.Is(err, unix.ERANGE) {
			buf = make([]byte, maxXattr)
			n, err = get(o.path, name, buf)
		}
		if errors.Is(err, unix.ENODATA) || denied(err) {
			continue // gone meanwhile, or not for us to read
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Xattr{Name: name, Value: slices.Clone(buf[:n])})
	}
	return all, nil
}

func (o object) listXattrs() ([]string, error) {
	list := unix.Listxattr
	if o.follow != 0 {
		list = unix.Llistxattr
	}
	buf := make([]byte, 1024)
	n, err := list(o.path, buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, maxXattr)
		n, err = list(o.path, buf)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	names = slices.DeleteFunc(names, func(name string) bool { return !kept(name) })
	slices.Sort(names)
	return names, nil
}

// kept leaves out what belongs to one file system or kernel rather than to the file.
func kept(name string) bool {
	switch {
	case strings.HasPrefix(name, "user."), strings.HasPrefix(name, "trusted."), strings.HasPrefix(name, "system.posix_acl_"):
		return !strings.HasPrefix(name, "trusted.overlay.")
	case name == "security.capability":
		return true
	}
	return false
}

func denied(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}

// apply gives the owner, mode, attributes and times of e, in the order in which none
// undoes another, and tells what could not be kept.
func (o object) apply(e *Entry) (notes []string, err error) {
	mode, notes, err := o.applyOwner(e)
	if err != nil {
		return notes, err
	}
	if e.Kind != Symlink {
		if err := unix.Chmod(o.path, mode); err != nil {
			return notes, err
		}
	}
	more, err := o.applyXattrs(e)
	notes = append(notes, more...)
	if err != nil {
		return notes, err
	}
	times := []unix.Timespec{unix.NsecToTimespec(e.Atime), unix.NsecToTimespec(e.Mtime)}
	return notes, unix.UtimesNanoAt(unix.AT_FDCWD, o.path, times, o.follow)
}

// applyOwner returns the mode that may be given: set-user-ID bits only go with their owner.
func (o object) applyOwner(e *Entry) (mode uint32, notes []string, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, o.path, &st, o.follow); err != nil {
		return 0, nil, err
	}
	mode = e.Mode
	if st.Uid == e.UID && st.Gid == e.GID {
		return mode, nil, nil
	}
	err = unix.Fchownat(unix.AT_FDCWD, o.path, int(e.UID), int(e.GID), o.follow)
	if err == nil || !denied(err) && !errors.Is(err, unix.EINVAL) {
		return mode, nil, err
	}
	notes = []string{noteOwner}
	if st.Gid != e.GID {
		_ = unix.Fchownat(unix.AT_FDCWD, o.path, -1, int(e.GID), o.follow) // a group that one belongs to
	}
	if mode&0o6000 != 0 && e.Kind != Dir {
		mode &^= 0o6000
		notes = append(notes, noteMode)
	}
	return mode, notes, nil
}

// applyXattrs makes the attributes those of e, and tells which were refused.
func (o object) applyXattrs(e *Entry) (notes []string, err error) {
	set, remove := unix.Setxattr, unix.Removexattr
	if o.follow != 0 {
		set, remove = unix.Lsetxattr, unix.Lremovexattr
	}
	there, err := o.listXattrs()
	if err != nil {
		return nil, err
	}
	for _, name := range there {
		if slices.ContainsFunc(e.Xattrs, func(x Xattr) bool { return x.Name == name }) {
			continue
		}
		if err := remove(o.path, name); err != nil && !errors.Is(err, unix.ENODATA) && !denied(err) {
			return notes, err
		}
	}
	for _, x := range e.Xattrs {
		err := set(o.path, x.Name, x.Value, 0)
		switch {
		case err == nil:
		case denied(err), errors.Is(err, unix.E2BIG), errors.Is(err, unix.ERANGE), errors.Is(err, unix.EINVAL):
			notes = append(notes, noteXattr+x.Name)
		default:
			return notes, err
		}
	}
	return notes, nil
}
