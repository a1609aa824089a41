package main

import (
	"sync"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// memory is a file system that keeps everything in memory and forgets it when it ends. It takes no locks but one, counts
// nothing, asks nobody: what is measured on it is FUSE.
type memory struct {
	gofuse.RawFileSystem // ENOSYS for the rest: the kernel asks once and never again

	timeout time.Duration // how long the kernel may keep names and attributes

	mu    sync.RWMutex // guards what follows and all that the nodes hold
	nodes map[uint64]*node
	last  uint64
}

// node is an inode.
type node struct {
	attr   gofuse.Attr
	names  map[string]uint64 // of a directory
	order  []string          // of a directory: as made, "" where removed; a listing's offset is an index
	blocks map[uint64][]byte // of a file: blockSize bytes each, by number; absent: zeros
	target []byte            // of a symbolic link
	opens  int
	parent uint64
}

func newMemory(timeout time.Duration) *memory {
	m := &memory{RawFileSystem: gofuse.NewDefaultRawFileSystem(), timeout: timeout, nodes: map[uint64]*node{}}
	m.add(syscall.S_IFDIR|0o777, gofuse.Owner{}, gofuse.FUSE_ROOT_ID)
	return m
}

func (m *memory) String() string { return "fuseceiling" }

// add makes an inode; m.mu is held, or nobody else is there yet.
func (m *memory) add(mode uint32, owner gofuse.Owner, parent uint64) *node {
	m.last++
	now := time.Now()
	n := &node{parent: parent}
	n.attr = gofuse.Attr{Ino: m.last, Mode: mode, Nlink: 1, Owner: owner, Blksize: blockSize}
	n.attr.SetTimes(&now, &now, &now)
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		n.names, n.attr.Nlink = map[string]uint64{}, 2
	}
	m.nodes[m.last] = n
	return n
}

func (n *node) dir() bool { return n.names != nil }

func (n *node) touch(status bool) {
	now := time.Now()
	if status {
		n.attr.SetTimes(nil, nil, &now)
		return
	}
	n.attr.SetTimes(nil, &now, &now)
}

// entry answers with n.
func (m *memory) entry(n *node, out *gofuse.EntryOut) {
	out.NodeId, out.Generation, out.Attr = n.attr.Ino, 1, n.attr
	out.SetEntryTimeout(m.timeout)
	out.SetAttrTimeout(m.timeout)
}

// drop forgets an inode that has no name and is not open; m.mu is held.
func (m *memory) drop(n *node) {
	if n.attr.Nlink == 0 && n.opens == 0 {
		delete(m.nodes, n.attr.Ino)
	}
}

func (m *memory) Lookup(_ <-chan struct{}, h *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d := m.nodes[h.NodeId]
	if d == nil {
		return gofuse.ENOENT
	}
	n := m.nodes[d.names[name]]
	if n == nil {
		if m.timeout == 0 {
			return gofuse.ENOENT
		}
		out.SetEntryTimeout(m.timeout) // inode 0: there is none, and the kernel may remember that
		return gofuse.OK
	}
	m.entry(n, out)
	return gofuse.OK
}

func (m *memory) Forget(uint64, uint64) {}

func (m *memory) GetAttr(_ <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.nodes[in.NodeId]
	if n == nil {
		return gofuse.ENOENT
	}
	out.Attr = n.attr
	out.SetTimeout(m.timeout)
	return gofuse.OK
}

func (m *memory) SetAttr(_ <-chan struct{}, in *gofuse.SetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[in.NodeId]
	if n == nil {
		return gofuse.ENOENT
	}
	if mode, ok := in.GetMode(); ok {
		n.attr.Mode = n.attr.Mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		n.attr.Uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.attr.Gid = gid
	}
	if size, ok := in.GetSize(); ok {
		n.resize(size)
		n.touch(false)
	}
	if t, ok := in.GetATime(); ok {
		n.attr.SetTimes(&t, nil, nil)
	}
	if t, ok := in.GetMTime(); ok {
		n.attr.SetTimes(nil, &t, nil)
	}
	n.touch(true)
	out.Attr = n.attr
	out.SetTimeout(m.timeout)
	return gofuse.OK
}

func (m *memory) StatFs(_ <-chan struct{}, _ *gofuse.InHeader, out *gofuse.StatfsOut) gofuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	out.Blocks, out.Bfree, out.Bavail = 1<<22, 1<<22, 1<<22
	out.Files, out.Ffree = 1<<22, 1<<22
	return gofuse.OK
}
