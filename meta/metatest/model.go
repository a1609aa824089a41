package metatest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// ok is the Kind of an operation that works.
const ok = honeyant.Other

// A model is a volume as plain Go values.
type model struct {
	now    honeyant.Time
	timed  bool // times are compared
	nodes  map[honeyant.Ino]*node
	chunks map[honeyant.ChunkID][]byte
}

type node struct {
	attr    honeyant.Attr
	parent  honeyant.Ino
	entries map[string]honeyant.Ino
	data    []byte
	held    []bool // bytes that are data, not hole
	target  string
	xattrs  map[string][]byte
	locks   lockModel
	open    bool
}

func newModel(root honeyant.Attr) *model {
	m := &model{nodes: map[honeyant.Ino]*node{}, chunks: map[honeyant.ChunkID][]byte{}}
	m.nodes[root.Ino] = &node{attr: root, parent: root.Ino, entries: map[string]honeyant.Ino{}, xattrs: map[string][]byte{}}
	return m
}

func (m *model) changed(n *node) { n.attr.Ctime = m.now }

func (m *model) written(n *node) {
	n.attr.Mtime = n.attr.Mtime.AfterBy1()
	if n.attr.Mtime.Before(m.now) {
		n.attr.Mtime = m.now
	}
	n.attr.Ctime = m.now
}

func (m *model) dirChanged(n *node) { n.attr.Mtime, n.attr.Ctime = m.now, m.now }

// same compares attributes; Blocks and Version follow rules of their own.
func (m *model) same(what string, n *node, got honeyant.Attr) error {
	want := n.attr
	want.Blocks, want.Version, got.Blocks = 0, got.Version, 0
	if !m.timed {
		want.Atime, want.Mtime, want.Ctime = got.Atime, got.Mtime, got.Ctime
	}
	if got != want {
		return fmt.Errorf("%s: attributes\n got %+v\nwant %+v", what, got, want)
	}
	if got.Version < n.attr.Version {
		return fmt.Errorf("%s: version went back from %d to %d", what, n.attr.Version, got.Version)
	}
	n.attr.Version = got.Version
	return nil
}

func badName(name string) honeyant.Kind {
	if len(name) > 255 {
		return honeyant.NameTooLong
	}
	if name == "" || name == "." || name == ".." || bytes.ContainsAny([]byte(name), "/\x00") {
		return honeyant.Invalid
	}
	return ok
}

func (n *node) isDir() bool { return n.attr.Mode&honeyant.ModeType == honeyant.ModeDir }

func (n *node) isFile() bool { return n.attr.Mode&honeyant.ModeType == honeyant.ModeFile }

// dir finds a directory that is in use, or says why not.
func (m *model) dir(ino honeyant.Ino) (*node, honeyant.Kind) {
	n := m.nodes[ino]
	switch {
	case n == nil:
		return nil, honeyant.Stale
	case !n.isDir():
		return nil, honeyant.NotDir
	case n.attr.Nlink == 0:
		return n, honeyant.NotExist
	}
	return n, ok
}

func (m *model) file(ino honeyant.Ino) (*node, honeyant.Kind) {
	n := m.nodes[ino]
	switch {
	case n == nil:
		return nil, honeyant.Stale
	case n.isDir():
		return nil, honeyant.IsDir
	case !n.isFile():
		return nil, honeyant.Invalid
	}
	return n, ok
}

// resize changes a file's length; what comes new is a hole.
func (n *node) resize(size uint64) {
	for uint64(len(n.data)) < size {
		n.data, n.held = append(n.data, 0), append(n.held, false)
	}
	n.data, n.held = n.data[:size], n.held[:size]
	n.attr.Size = size
}

// hole empties a range.
func (n *node) hole(from, to uint64) {
	for i := from; i < min(to, uint64(len(n.data))); i++ {
		n.data[i], n.held[i] = 0, false
	}
}

func (n *node) killPriv() {
	if n.isDir() {
		return
	}
	n.attr.Mode &^= 0o4000
	if n.attr.Mode&0o010 != 0 {
		n.attr.Mode &^= 0o2000
	}
	delete(n.xattrs, "security.capability")
}

// drop takes a name off a node.
func (m *model) drop(n *node) {
	if n.isDir() {
		n.attr.Nlink = 0
	} else {
		n.attr.Nlink--
	}
	m.changed(n)
}

// make applies a Make that gave inode got.
func (m *model) make(o *meta.Make, got *meta.EntryReply) (honeyant.Kind, func() error) {
	if k := badName(o.Name); k != ok {
		return k, nil
	}
	kind := o.Mode & honeyant.ModeType
	if kind == honeyant.ModeSymlink && o.Target == "" {
		return honeyant.NotExist, nil
	}
	if kind == honeyant.ModeSymlink && len(o.Target) > 4095 {
		return honeyant.NameTooLong, nil
	}
	d, k := m.dir(o.Parent)
	if k != ok {
		return k, nil
	}
	if at, there := d.entries[o.Name]; there {
		n := m.nodes[at]
		switch {
		case o.Exclusive || kind != honeyant.ModeFile:
			return honeyant.Exist, nil
		case n.isDir():
			return honeyant.IsDir, nil
		case !n.isFile():
			return honeyant.Exist, nil
		}
		return ok, func() error {
			if !got.Existed {
				return fmt.Errorf("did not say that it existed")
			}
			if o.Open {
				n.open = true
			}
			return m.same("make", n, got.Attr)
		}
	}
	return ok, func() error { return m.made(o, d, got) }
}

func (m *model) made(o *meta.Make, d *node, got *meta.EntryReply) error {
	if m.nodes[got.Attr.Ino] != nil || got.Attr.Ino == 0 || got.Existed {
		return fmt.Errorf("made inode %d, which was there", got.Attr.Ino)
	}
	n := &node{xattrs: map[string][]byte{}, attr: honeyant.Attr{
		Ino: got.Attr.Ino, Mode: o.Mode, Nlink: 1, UID: o.UID, GID: o.GID, Atime: m.now, Mtime: m.now, Ctime: m.now}}
	if d.attr.Mode&0o2000 != 0 {
		n.attr.GID = d.attr.GID
	}
	switch o.Mode & honeyant.ModeType {
	case honeyant.ModeDir:
		n.entries, n.parent, n.attr.Nlink = map[string]honeyant.Ino{}, o.Parent, 2
		n.attr.Mode |= d.attr.Mode & 0o2000
		d.attr.Nlink++
	case honeyant.ModeSymlink:
		n.target, n.attr.Size, n.attr.Mode = o.Target, uint64(len(o.Target)), honeyant.ModeSymlink|0o777
	case honeyant.ModeChar, honeyant.ModeBlock:
		n.attr.Rdev = o.Rdev
	}
	if n.attr.Mode&honeyant.ModeType != honeyant.ModeSymlink {
		if def, has := d.xattrs[defaultACL]; has {
			n.inherit(def)
		} else {
			n.attr.Mode &^= o.Umask & 0o777
		}
	}
	if o.Open {
		n.open = true
	}
	m.nodes[n.attr.Ino] = n
	d.entries[o.Name] = n.attr.Ino
	m.dirChanged(d)
	return m.same("make", n, got.Attr)
}

func (m *model) link(o *meta.Link, got *meta.EntryReply) (honeyant.Kind, func() error) {
	if k := badName(o.Name); k != ok {
		return k, nil
	}
	d, k := m.dir(o.Parent)
	if k != ok {
		return k, nil
	}
	n := m.nodes[o.Ino]
	if n == nil {
		return honeyant.Stale, nil
	}
	if _, there := d.entries[o.Name]; there {
		return honeyant.Exist, nil
	}
	if n.isDir() {
		return honeyant.NotPermitted, nil
	}
	if n.attr.Nlink == 0 {
		return honeyant.NotExist, nil
	}
	return ok, func() error {
		n.attr.Nlink++
		m.changed(n)
		d.entries[o.Name] = o.Ino
		m.dirChanged(d)
		return m.same("link", n, got.Attr)
	}
}

// remove is unlink and rmdir.
func (m *model) remove(parent honeyant.Ino, name string, dir bool, got *meta.RemovedReply) (honeyant.Kind, func() error) {
	if k := badName(name); k != ok {
		return k, nil
	}
	d, k := m.dir(parent)
	if k != ok {
		return k, nil
	}
	at, there := d.entries[name]
	if !there {
		return honeyant.NotExist, nil
	}
	n := m.nodes[at]
	switch {
	case dir && !n.isDir():
		return honeyant.NotDir, nil
	case !dir && n.isDir():
		return honeyant.IsDir, nil
	case len(n.entries) > 0:
		return honeyant.NotEmpty, nil
	}
	return ok, func() error {
		delete(d.entries, name)
		if dir {
			d.attr.Nlink--
		}
		m.drop(n)
		m.dirChanged(d)
		return m.same("remove", n, got.Attr)
	}
}

// below tells whether ino is top or under it.
func (m *model) below(ino, top honeyant.Ino) bool {
	for ino != top {
		if ino == honeyant.RootIno {
			return false
		}
		ino = m.nodes[ino].parent
	}
	return true
}

func (m *model) rename(o *meta.Rename, got *meta.RenameReply) (honeyant.Kind, func() error) {
	if o.NoReplace && o.Exchange {
		return honeyant.Invalid, nil
	}
	for _, name := range []string{o.OldName, o.NewName} {
		if k := badName(name); k != ok {
			return k, nil
		}
	}
	from, k1 := m.dir(o.OldParent)
	if k1 != ok && k1 != honeyant.NotExist {
		return k1, nil
	}
	to, k2 := m.dir(o.NewParent)
	if k2 != ok && k2 != honeyant.NotExist {
		return k2, nil
	}
	at, there := from.entries[o.OldName]
	if !there || k1 != ok || k2 != ok {
		return honeyant.NotExist, nil
	}
	n := m.nodes[at]
	var old *node
	if at, there := to.entries[o.NewName]; there {
		old = m.nodes[at]
	}
	switch {
	case o.NoReplace && old != nil:
		return honeyant.Exist, nil
	case o.Exchange && old == nil:
		return honeyant.NotExist, nil
	case n.isDir() && from != to && m.below(o.NewParent, n.attr.Ino):
		return honeyant.Invalid, nil
	case old != nil && old.isDir() && from != to && m.below(o.OldParent, old.attr.Ino) && o.Exchange:
		return honeyant.Invalid, nil
	case old != nil && old.isDir() && from != to && m.below(o.OldParent, old.attr.Ino):
		return honeyant.NotEmpty, nil
	case old == n:
		return ok, func() error { return m.same("rename", n, got.Moved) }
	case o.Exchange || old == nil:
	case n.isDir() && !old.isDir():
		return honeyant.NotDir, nil
	case !n.isDir() && old.isDir():
		return honeyant.IsDir, nil
	case len(old.entries) > 0:
		return honeyant.NotEmpty, nil
	}
	return ok, func() error { return m.renamed(o, got, n, old) }
}

func (m *model) renamed(o *meta.Rename, got *meta.RenameReply, n, old *node) error {
	from, to := m.nodes[o.OldParent], m.nodes[o.NewParent]
	place := func(x, from, to *node, name string) {
		to.entries[name] = x.attr.Ino
		if x.isDir() {
			from.attr.Nlink--
			to.attr.Nlink++
			x.parent = to.attr.Ino
		}
		m.changed(x)
	}
	delete(from.entries, o.OldName)
	if o.Exchange {
		place(old, to, from, o.OldName)
	} else if old != nil {
		if old.isDir() {
			to.attr.Nlink--
		}
		m.drop(old)
	}
	place(n, from, to, o.NewName)
	m.dirChanged(from)
	m.dirChanged(to)
	if old != nil {
		if err := m.same("rename: other", old, got.Other); err != nil {
			return err
		}
	} else if got.Other.Ino != 0 {
		return fmt.Errorf("rename: replaced %+v", got.Other)
	}
	return m.same("rename", n, got.Moved)
}

// inodes lists the inodes that fit, in order.
func (m *model) inodes(fit func(*node) bool) []honeyant.Ino {
	var list []honeyant.Ino
	for _, ino := range slices.Sorted(maps.Keys(m.nodes)) {
		if fit(m.nodes[ino]) {
			list = append(list, ino)
		}
	}
	return list
}
