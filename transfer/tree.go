package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
)

// tree is a directory of this machine and what lies below it. Paths are relative to it,
// and no symbolic link in them is followed. Safe for concurrent use.
type tree struct {
	dir  *os.File
	root string // the path below dir of what is copied: "" is dir itself
	path string // of the root, for people

	mu    sync.Mutex          // guards names
	names map[string][]string // directories whose listing is under way
}

// openTree opens the directory dir.
func openTree(dir, root, path string) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault("open", dir, err)
	}
	return &tree{dir: os.NewFile(uintptr(fd), dir), root: root, path: path, names: map[string][]string{}}, nil
}

func (t *tree) close() error { return t.dir.Close() }

// full is a path for people.
func (t *tree) full(path string) string {
	if t.root != "" {
		return filepath.Join(filepath.Dir(t.path), path)
	}
	return filepath.Join(t.path, path)
}

// open opens path below the tree. The flags are those of open(2); O_NOFOLLOW and
// O_CLOEXEC are added.
func (t *tree) open(path string, flags int, mode uint32) (*os.File, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode)
	}
	fd, err := retry(func() (int, error) { return unix.Openat2(int(t.dir.Fd()), path, &how) })
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENAMETOOLONG):
		fd, err = t.step(path, flags, mode) // an old kernel, a sandbox, a very deep tree
	}
	if err != nil {
		return nil, fault("open", t.full(path), err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// step opens path one element after another.
func (t *tree) step(path string, flags int, mode uint32) (int, error) {
	at := int(t.dir.Fd())
	elements := strings.Split(path, "/")
	for i, element := range elements {
		f, m := unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(0)
		if i == len(elements)-1 {
			f, m = flags, mode
		}
		fd, err := retry(func() (int, error) { return unix.Openat(at, element, f, m) })
		if at != int(t.dir.Fd()) {
			unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = fd
	}
	return at, nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		fd, err := call()
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// parent opens the directory of path and returns it with the last element.
func (t *tree) parent(path string) (*os.File, string, error) {
	dir, name := split(path)
	f, err := t.open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	return f, name, err
}

// stat is the entry of path, with attributes and link target unless brief.
func (t *tree) stat(path string, brief bool) (Entry, error) {
	if path == "" {
		return t.entryOf(t.dir, "", brief)
	}
	dir, name, err := t.parent(path)
	if err != nil {
		return Entry{}, err
	}
	defer dir.Close()
	return t.entryOf(dir, name, brief)
}

// entryOf is the entry of a name in an open directory; "" is the directory itself.
func (t *tree) entryOf(dir *os.File, name string, brief bool) (Entry, error) {
	var st unix.Stat_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Fstatat(int(dir.Fd()), name, &st, flags); err != nil {
		return Entry{}, fault("stat", t.full(name), err)
	}
	e := entryFromStat(name, &st)
	if brief {
		return e, nil
	}
	if e.Kind == Symlink {
		buf := make([]byte, maxName)
		n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
		if err != nil {
			return Entry{}, fault("readlink", t.full(name), err)
		}
		e.Target = string(buf[:n])
	}
	var err error
	e.Xattrs, err = byName(dir, name).readXattrs()
	if err != nil {
		return Entry{}, fault("read attributes of", t.full(name), err)
	}
	return e, nil
}

func entryFromStat(name string, st *unix.Stat_t) Entry {
	kinds := map[uint32]Kind{unix.S_IFREG: File, unix.S_IFDIR: Dir, unix.S_IFLNK: Symlink, unix.S_IFIFO: Fifo,
		unix.S_IFSOCK: Socket, unix.S_IFCHR: CharDevice, unix.S_IFBLK: BlockDevice}
	return Entry{
		Name: name, Kind: kinds[st.Mode&unix.S_IFMT], Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Size: st.Size, Blocks: st.Blocks,
		Atime: st.Atim.Nano(), Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
		Dev: uint64(st.Dev), Ino: st.Ino, Links: uint32(st.Nlink), Rdev: uint64(st.Rdev),
	}
}

// page bounds one answer of list.
const pageEntries = 2048

// list is the next entries of a directory behind the name after, in the order of their
// names, and the name behind which the next page begins, "" after the last. Entries that vanish meanwhile are left out.
func (t *tree) list(path, after string, brief bool) (entries []Entry, next string, err error) {
	dir, err := t.open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, "", err
	}
	defer dir.Close()
	names, err := t.namesOf(dir, path, after)
	if err != nil {
		return nil, "", err
	}
	at, found := slices.BinarySearch(names, after)
	if found {
		at++
	}
	size := 0
	for ; at < len(names); at++ {
		if len(entries) == pageEntries || size > maxPage {
			return entries, names[at-1], nil
		}
		e, err := t.entryOf(dir, names[at], brief)
		if errors.Is(err, honeyant.NotExist) {
			continue
		}
		if err != nil {
			return nil, "", honeyant.E("", honeyant.Other, t.full(join(path, names[at])), err)
		}
		if e.Kind == 0 {
			continue // a kind of entry that Linux does not have
		}
		entries, size = append(entries, e), size+e.weight()
	}
	t.mu.Lock()
	delete(t.names, path)
	t.mu.Unlock()
	return entries, "", nil
}

// maxPage bounds the bytes of one answer of list, one large entry aside.
const maxPage = 1 << 20

func (e *Entry) weight() int {
	n := 128 + len(e.Name) + len(e.Target)
	for _, x := range e.Xattrs {
		n += len(x.Name) + len(x.Value)
	}
	return n
}

// namesOf is the sorted names of a directory, read once per listing.
func (t *tree) namesOf(dir *os.File, path, after string) ([]string, error) {
	t.mu.Lock()
	names, ok := t.names[path]
	t.mu.Unlock()
	if ok && after != "" {
		return names, nil
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fault("list", t.full(path), err)
	}
	slices.Sort(names)
	if len(names) > pageEntries {
		t.mu.Lock()
		t.names[path] = names
		t.mu.Unlock()
	}
	return names, nil
}
