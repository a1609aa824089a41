package main

import (
	"slices"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// link gives n a name in d; m.mu is held.
func (d *node) link(name string, n *node) {
	d.names[name] = n.attr.Ino
	d.order = append(d.order, name)
	if n.dir() {
		d.attr.Nlink++
	}
	d.touch(false)
}

// unlink takes a name away; m.mu is held. Listings under way go on at the right place.
func (d *node) unlink(name string, n *node) {
	delete(d.names, name)
	if i := slices.Index(d.order, name); i >= 0 {
		d.order[i] = ""
	}
	for len(d.order) > 0 && d.order[len(d.order)-1] == "" {
		d.order = d.order[:len(d.order)-1]
	}
	if n.dir() {
		d.attr.Nlink--
	}
	d.touch(false)
}

// make makes an inode with a name; m.mu is held.
func (m *memory) make(h *gofuse.InHeader, name string, mode uint32) (*node, gofuse.Status) {
	d := m.nodes[h.NodeId]
	if d == nil || !d.dir() {
		return nil, gofuse.ENOENT
	}
	if _, there := d.names[name]; there {
		return nil, gofuse.Status(syscall.EEXIST)
	}
	n := m.add(mode, h.Owner, h.NodeId)
	d.link(name, n)
	return n, gofuse.OK
}

func (m *memory) makeEntry(h *gofuse.InHeader, name string, mode uint32, target string, out *gofuse.EntryOut) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, status := m.make(h, name, mode)
	if status == gofuse.OK {
		n.target, n.attr.Size = []byte(target), uint64(len(target))
		m.entry(n, out)
	}
	return status
}

func (m *memory) Mknod(_ <-chan struct{}, in *gofuse.MknodIn, name string, out *gofuse.EntryOut) gofuse.Status {
	return m.makeEntry(&in.InHeader, name, in.Mode, "", out)
}

func (m *memory) Mkdir(_ <-chan struct{}, in *gofuse.MkdirIn, name string, out *gofuse.EntryOut) gofuse.Status {
	return m.makeEntry(&in.InHeader, name, syscall.S_IFDIR|in.Mode&0o7777, "", out)
}

func (m *memory) Symlink(_ <-chan struct{}, h *gofuse.InHeader, target, name string, out *gofuse.EntryOut) gofuse.Status {
	return m.makeEntry(h, name, syscall.S_IFLNK|0o777, target, out)
}

func (m *memory) Readlink(_ <-chan struct{}, h *gofuse.InHeader) ([]byte, gofuse.Status) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.nodes[h.NodeId]
	if n == nil {
		return nil, gofuse.ENOENT
	}
	return n.target, gofuse.OK
}

func (m *memory) Create(_ <-chan struct{}, in *gofuse.CreateIn, name string, out *gofuse.CreateOut) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, status := m.make(&in.InHeader, name, syscall.S_IFREG|in.Mode&0o7777)
	if status != gofuse.OK {
		return status
	}
	m.entry(n, &out.EntryOut)
	n.opens++
	out.OpenFlags = openFlags
	return gofuse.OK
}

func (m *memory) Link(_ <-chan struct{}, in *gofuse.LinkIn, name string, out *gofuse.EntryOut) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, n := m.nodes[in.NodeId], m.nodes[in.Oldnodeid]
	if d == nil || n == nil {
		return gofuse.ENOENT
	}
	d.link(name, n)
	n.attr.Nlink++
	m.entry(n, out)
	return gofuse.OK
}

func (m *memory) Unlink(_ <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return m.remove(h, name, false)
}

func (m *memory) Rmdir(_ <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return m.remove(h, name, true)
}

func (m *memory) remove(h *gofuse.InHeader, name string, dir bool) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.nodes[h.NodeId]
	if d == nil || m.nodes[d.names[name]] == nil {
		return gofuse.ENOENT
	}
	n := m.nodes[d.names[name]]
	switch {
	case dir && !n.dir():
		return gofuse.ENOTDIR
	case !dir && n.dir():
		return gofuse.Status(syscall.EISDIR)
	case dir && len(n.names) > 0:
		return gofuse.Status(syscall.ENOTEMPTY)
	}
	d.unlink(name, n)
	m.lose(n)
	return gofuse.OK
}

// lose takes one name off n's count; m.mu is held.
func (m *memory) lose(n *node) {
	if n.dir() {
		n.attr.Nlink = 0
	} else {
		n.attr.Nlink--
	}
	m.drop(n)
}

func (m *memory) Rename(_ <-chan struct{}, in *gofuse.RenameIn, from, to string) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, e := m.nodes[in.NodeId], m.nodes[in.Newdir]
	if d == nil || e == nil || m.nodes[d.names[from]] == nil {
		return gofuse.ENOENT
	}
	n, over := m.nodes[d.names[from]], m.nodes[e.names[to]]
	switch {
	case in.Flags&^unix.RENAME_NOREPLACE != 0:
		return gofuse.EINVAL
	case over == n:
		return gofuse.OK
	case over != nil && in.Flags&unix.RENAME_NOREPLACE != 0:
		return gofuse.Status(syscall.EEXIST)
	case over != nil && over.dir() && len(over.names) > 0:
		return gofuse.Status(syscall.ENOTEMPTY)
	}
	if over != nil {
		e.unlink(to, over)
		m.lose(over)
	}
	d.unlink(from, n)
	e.link(to, n)
	n.parent = in.Newdir
	return gofuse.OK
}
