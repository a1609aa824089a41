package volume

import (
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// contents is what a small file holds at one Version: all its extents, with the bytes that live beside the inode. It is
// remembered under the lease on the inode, like attributes, in room of its own.
type contents struct {
	version uint64
	extents []honeyant.Extent // ascending; shared with who was answered, never changed
	chunks  []honeyant.ChunkRef
	bytes   int64
}

const (
	contentsCost = 96 // bytes, besides what follows
	extentCost   = 64
	refCost      = 96
)

// setContents remembers what a file holds, if its attributes are known as of then.
func (n *nameCache) setContents(a *honeyant.Attr, extents []honeyant.Extent, chunks []honeyant.ChunkRef) {
	k := n.inodes[a.Ino]
	if k == nil || !k.known || k.attr.Version != a.Version || a.Size > meta.SmallFile {
		return
	}
	n.dropContents(k)
	c := &contents{version: a.Version, extents: extents, chunks: chunks, bytes: contentsCost + int64(len(chunks))*refCost}
	for i := range extents {
		c.bytes += extentCost + int64(len(extents[i].Inline))
	}
	most := n.contentsMost()
	if c.bytes > most/8 {
		return
	}
	k.contents = c
	k.contentsAt = n.recent.PushFront(k)
	n.contentsBytes += c.bytes
	for n.contentsBytes > most {
		n.dropContents(n.recent.Back().Value.(*knownInode))
	}
}

// contentsMost bounds what contents take, in bytes.
func (n *nameCache) contentsMost() int64 { return n.max / 2 }

func (n *nameCache) dropContents(k *knownInode) {
	if k.contents != nil {
		n.recent.Remove(k.contentsAt)
		n.contentsBytes -= k.contents.bytes
		k.contents, k.contentsAt = nil, nil
	}
}

// usableContents finds what is known of what a file holds, nil if nothing.
func (n *nameCache) usableContents(k *knownInode) *contents {
	c := k.contents
	if c == nil || c.version != k.attr.Version {
		return nil
	}
	n.recent.MoveToFront(k.contentsAt)
	return c
}

// extents answers what a file holds, for as much of it as is asked for.
func (n *nameCache) extents(op *meta.Extents) (meta.Reply, error, bool) {
	k := n.usable(op.Ino)
	if k == nil || !k.known || !k.attr.IsFile() {
		return nil, nil, false
	}
	c := n.usableContents(k)
	if c == nil {
		return nil, nil, false
	}
	k.read()
	return c.reply(&k.attr), nil, true
}

func (c *contents) reply(a *honeyant.Attr) *meta.ExtentsReply {
	return &meta.ExtentsReply{Attr: *a, Extents: c.extents, Chunks: c.chunks, Until: uint64(honeyant.MaxFileSize)}
}

// learnExtents takes in an answer about the content of a file, if it is all of it.
func (n *nameCache) learnExtents(from uint64, r *meta.ExtentsReply) {
	if from == 0 && r.Attr.IsFile() && r.Until >= r.Attr.Size {
		n.setContents(&r.Attr, r.Extents, r.Chunks)
	}
}

// forgetContents is for chunks that are gone: newer extents may know better.
func (n *nameCache) forgetContents(ino honeyant.Ino) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.inodes[ino]; k != nil {
		n.dropContents(k)
	}
}

// file tells of a regular file what is remembered: attributes, and what it holds if that is known.
func (n *nameCache) file(s *session, ino honeyant.Ino) (r *meta.ExtentsReply, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) {
		return nil, false
	}
	k := n.usable(ino)
	if k == nil || !k.known || !k.attr.IsFile() {
		return nil, false
	}
	k.used()
	if c := n.usableContents(k); c != nil {
		k.read()
		return c.reply(&k.attr), true
	}
	return &meta.ExtentsReply{Attr: k.attr}, true
}

// vouches tells whether the lease on an inode says that this is its Version.
func (v *Volume) vouches(ino honeyant.Ino, version uint64) bool {
	n, s := v.names, v.link.current()
	if n == nil || s.leaser == nil || s.dead.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) {
		return false
	}
	k := n.usable(ino)
	return k != nil && k.known && k.attr.Version == version
}

// Settled tells the attributes of the file as of its open or later, ok false if bytes are not committed.
func (f *File) Settled() (a honeyant.Attr, ok bool) {
	in := f.in
	in.mu.Lock()
	defer in.mu.Unlock()
	_, dirty := in.unflushed()
	return in.attr, in.known && !dirty
}

// Lost counts what was lost of what was written or changed here: whenever that happens, what was seen meanwhile may not
// have been so.
func (v *Volume) Lost() uint64 { return v.stats.lostWrites.Load() + v.journal.stats.lost.Load() }

// A leasedOpener is a Leaser that need not be told of each open, see remote.Session.OpenLeased.
type leasedOpener interface {
	OpenLeased(f meta.OpenFile)
	CloseLeased(f meta.OpenFile)
}

// underLease tells of the inode what the leases say, exclusive ones or shared ones; ok false if there are none.
func (in *inode) underLease(s *session) (r *meta.ExtentsReply, ok bool) {
	if a, ok := in.v.journal.open(in.ino); ok {
		return &meta.ExtentsReply{Attr: a}, true
	}
	return in.v.names.file(s, in.ino)
}

// openLeased opens the inode without asking the leader, under the lease on it; false if there is none.
// in.reg is held.
func (in *inode) openLeased() bool {
	v := in.v
	s := v.link.current()
	opener, ok := s.leaser.(leasedOpener)
	if !ok || v.names == nil || s.dead.Load() {
		return false
	}
	in.mu.Lock()
	registered := in.registered == s
	in.mu.Unlock()
	if !registered { // before the lease is looked at: it stands for this open from now on
		opener.OpenLeased(meta.OpenFile{Volume: v.o.Volume, Ino: in.ino})
	}
	sent := time.Now()
	r, ok := in.underLease(s)
	if !ok {
		if !registered {
			opener.CloseLeased(meta.OpenFile{Volume: v.o.Volume, Ino: in.ino})
		}
		return false
	}
	in.mu.Lock()
	if !registered {
		in.registeredBy(s)
	}
	in.learnOpen(r, sent)
	in.mu.Unlock()
	return v.link.still(s) // as in sendOpen
}
