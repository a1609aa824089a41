package metatest

import (
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// next makes a random operation that often makes sense.
func (h *history) next() meta.Op {
	switch n := h.rng.IntN(100); {
	case n < 16:
		return h.nextMake()
	case n < 20:
		return &meta.Link{Volume: h.Volume, Ino: h.any(), Parent: h.dir(), Name: h.name()}
	case n < 26:
		parent, name := h.entry()
		return &meta.Unlink{Volume: h.Volume, Parent: parent, Name: name}
	case n < 29:
		parent, name := h.entry()
		return &meta.Rmdir{Volume: h.Volume, Parent: parent, Name: name}
	case n < 39:
		return h.nextRename()
	case n < 52:
		return h.nextSetAttr()
	case n < 70:
		return h.nextCommit()
	case n < 82:
		return h.nextRange()
	case n < 92:
		return h.nextXattr()
	case n < 96:
		return h.nextLock()
	case n < 97 && h.Reaps:
		return &meta.Reap{Volume: h.Volume, Limit: uint32(h.rng.IntN(200))}
	case n < 99:
		return &meta.Open{Volume: h.Volume, Ino: h.any()}
	}
	return &meta.Release{Volume: h.Volume, Ino: h.any()}
}

// pick chooses one of a list, or a number that names nothing.
func (h *history) pick(list []honeyant.Ino) honeyant.Ino {
	if len(list) == 0 || h.rng.IntN(60) == 0 {
		return 1 << 40
	}
	return list[h.rng.IntN(len(list))]
}

// usable: it has a name or is open, so it has to be there. Others may be gone or not.
func (h *history) usable(n *node) bool { return n.attr.Nlink > 0 || n.open }

func (h *history) any() honeyant.Ino { return h.pick(h.m.inodes(h.usable)) }

func (h *history) dir() honeyant.Ino {
	if h.rng.IntN(20) == 0 {
		return h.any()
	}
	return h.pick(h.m.inodes(func(n *node) bool { return n.isDir() && h.usable(n) }))
}

func (h *history) file() honeyant.Ino {
	if h.rng.IntN(20) == 0 {
		return h.any()
	}
	return h.pick(h.m.inodes(func(n *node) bool { return n.isFile() && h.usable(n) }))
}

func (h *history) name() string {
	switch h.rng.IntN(60) {
	case 0:
		return strings.Repeat("n", 255)
	case 1:
		return strings.Repeat("n", 256)
	case 2:
		return []string{"", ".", "..", "a/b", "a\x00"}[h.rng.IntN(5)]
	}
	return string(rune('a' + h.rng.IntN(8)))
}

// entry is a directory and a name that is often there.
func (h *history) entry() (honeyant.Ino, string) {
	dir := h.dir()
	if n := h.m.nodes[dir]; n != nil && len(n.entries) > 0 && h.rng.IntN(8) > 0 {
		var names []string
		for c := 'a'; c < 'i'; c++ {
			if _, there := n.entries[string(c)]; there {
				names = append(names, string(c))
			}
		}
		if len(names) > 0 {
			return dir, names[h.rng.IntN(len(names))]
		}
	}
	return dir, h.name()
}

func (h *history) chance(n int) bool { return h.rng.IntN(n) == 0 }

func (h *history) nextMake() meta.Op {
	types := []uint32{honeyant.ModeFile, honeyant.ModeFile, honeyant.ModeFile, honeyant.ModeDir, honeyant.ModeDir, honeyant.ModeSymlink, honeyant.ModeFifo, honeyant.ModeChar}
	o := &meta.Make{Volume: h.Volume, Parent: h.dir(), Name: h.name(), Mode: types[h.rng.IntN(len(types))] | uint32(h.rng.IntN(0o10000)),
		Umask: uint32(h.rng.IntN(0o1000)), UID: uint32(h.rng.IntN(3)), GID: uint32(h.rng.IntN(3)), Rdev: uint32(h.rng.IntN(9)),
		Exclusive: h.chance(2), Open: h.chance(4)}
	if o.Mode&honeyant.ModeType == honeyant.ModeSymlink {
		o.Target = strings.Repeat("t", []int{1, 20, 4095, 4096, 0}[h.rng.IntN(5)])
	}
	return o
}

func (h *history) nextRename() meta.Op {
	o := &meta.Rename{Volume: h.Volume, NoReplace: h.chance(6), Exchange: h.chance(4)}
	o.OldParent, o.OldName = h.entry()
	o.NewParent, o.NewName = h.entry()
	if h.chance(3) {
		o.NewName = h.name()
	}
	return o
}

func (h *history) time() honeyant.Time {
	return honeyant.Time{Sec: h.rng.Int64N(4e9) - 1e9, Nsec: uint32(h.rng.IntN(1e9))}
}

func (h *history) nextSetAttr() meta.Op {
	o := &meta.SetAttr{Volume: h.Volume, Ino: h.any(), Mode: uint32(h.rng.IntN(0o10000)), UID: uint32(h.rng.IntN(3)), GID: uint32(h.rng.IntN(3)),
		Atime: h.time(), Mtime: h.time()}
	if h.chance(2) {
		o.Ino = h.file()
		o.Valid = meta.SetSize
		o.Size = h.offset(o.Ino)
		if h.chance(4) {
			o.Size = 0
		}
		if h.chance(50) {
			o.Size = honeyant.MaxFileSize + 1
		}
		return o
	}
	one, other := h.rng.IntN(9), h.rng.IntN(9)
	o.Valid = meta.AttrMask(1<<one|1<<other) &^ meta.SetSize
	return o
}

// offset is a place in or a little past a file.
func (h *history) offset(ino honeyant.Ino) uint64 {
	size := uint64(100)
	if n := h.m.nodes[ino]; n != nil {
		size += n.attr.Size
	}
	at := h.rng.Uint64N(size)
	if h.chance(6) {
		at += h.rng.Uint64N(6000)
	}
	return min(at, 1<<18)
}

// chunk makes a chunk of random bytes, which the model remembers.
func (h *history) chunk(size int) honeyant.ChunkRef {
	h.counter++
	id := honeyant.NewChunkID(h.Incarnation, h.Session, h.counter)
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(1 + h.rng.IntN(255))
	}
	h.m.chunks[id] = b
	return honeyant.ChunkRef{ID: id, Sum: honeyant.ChunkSum{Length: uint32(size), CRC: uint32(h.counter)}, Replicas: h.Replicas}
}

func (h *history) nextCommit() meta.Op {
	o := &meta.Commit{Volume: h.Volume, Ino: h.file(), Append: h.chance(4), KillPriv: h.chance(4)}
	at := h.offset(o.Ino)
	if o.Append {
		at = 0
	}
	switch h.rng.IntN(12) {
	case 0:
		o.MinSize = at
	case 1, 2, 3:
		b := make([]byte, 1+h.rng.IntN(400))
		for i := range b {
			b[i] = byte(1 + h.rng.IntN(255))
		}
		at = min(at, honeyant.InlineLimit-uint64(len(b)))
		o.Extents = []honeyant.Extent{{Offset: at, Length: uint32(len(b)), Inline: b}}
	case 4: // very many small ones, as random writes leave them
		n := 500 + h.rng.IntN(400)
		ref := h.chunk(2 * n)
		o.Chunks = append(o.Chunks, ref)
		for i := range n {
			o.Extents = append(o.Extents, honeyant.Extent{Offset: at + uint64(3*i), Length: 2, Chunk: ref.ID, ChunkOffset: uint32(2 * i)})
		}
	default:
		for range 1 + h.rng.IntN(3) {
			ref := h.chunk(1 + h.rng.IntN(5000))
			o.Chunks = append(o.Chunks, ref)
			from := uint32(0)
			for range 1 + h.rng.IntN(3) {
				if from >= ref.Sum.Length {
					break
				}
				length := 1 + uint32(h.rng.IntN(int(ref.Sum.Length-from)))
				o.Extents = append(o.Extents, honeyant.Extent{Offset: at, Length: length, Chunk: ref.ID, ChunkOffset: from})
				at += uint64(length) + uint64(h.rng.IntN(2)*h.rng.IntN(500))
				from += length
			}
		}
	}
	return o
}

func (h *history) nextRange() meta.Op {
	ino := h.file()
	at, length := h.offset(ino), h.rng.Uint64N(1+h.offset(ino))
	switch h.rng.IntN(6) {
	case 0:
		return &meta.Punch{Volume: h.Volume, Ino: ino, Offset: at, Length: length, KeepSize: h.chance(2)}
	case 1:
		return &meta.Punch{Volume: h.Volume, Ino: ino, Offset: at, Length: 1 << 18, KeepSize: true}
	case 2:
		return &meta.Allocate{Volume: h.Volume, Ino: ino, Offset: at, Length: length, KeepSize: h.chance(2)}
	case 3:
		return &meta.Seek{Volume: h.Volume, Ino: ino, Offset: at, Hole: h.chance(2)}
	}
	o := &meta.Clone{Volume: h.Volume, Src: ino, SrcOffset: at, Dst: h.file(), DstOffset: h.offset(ino), Length: length}
	if h.chance(4) {
		o.Dst = ino
	}
	if h.chance(3) {
		o.SrcOffset, o.DstOffset, o.Length = 0, 0, 1<<30
	}
	return o
}

func (h *history) acl() []byte {
	a := &aclModel{owner: uint16(h.rng.IntN(8)), group: uint16(h.rng.IntN(8)), other: uint16(h.rng.IntN(8)), mask: -1}
	for i := range uint32(h.rng.IntN(3)) {
		a.named = append(a.named, [2]uint32{uint32(1+h.rng.IntN(2))<<24 | i, uint32(h.rng.IntN(8))})
	}
	if len(a.named) > 0 || h.chance(3) {
		a.mask = h.rng.IntN(8)
	}
	return a.bytes()
}

func (h *history) nextXattr() meta.Op {
	names := []string{"user.a", "user.b", "trusted.t", "security.capability", "user.", "system.x", "nothing", accessACL, accessACL, defaultACL, defaultACL,
		"user." + strings.Repeat("x", 251)}
	name := names[h.rng.IntN(len(names))]
	ino := h.any()
	switch h.rng.IntN(4) {
	case 0:
		return &meta.RemoveXattr{Volume: h.Volume, Ino: ino, Name: name}
	case 1:
		return &meta.GetXattr{Volume: h.Volume, Ino: ino, Name: name}
	}
	o := &meta.SetXattr{Volume: h.Volume, Ino: ino, Name: name, Create: h.chance(5), Replace: h.chance(5), KillSgid: h.chance(3)}
	switch {
	case h.chance(20):
		o.Value = []byte{1, 0, 0, 0}
	case h.chance(10):
		o.Value = nil
	case name == accessACL || name == defaultACL:
		o.Value = h.acl()
	case h.chance(30):
		o.Value = make([]byte, honeyant.MaxXattr+1)
	default:
		o.Value = make([]byte, h.rng.IntN(100))
	}
	return o
}

func (h *history) nextLock() meta.Op {
	l := meta.FileLock{Kind: meta.LockKind(1 + h.rng.IntN(2)), Write: h.chance(2), Owner: uint64(h.rng.IntN(3)), PID: 7, Start: uint64(h.rng.IntN(lockSpan))}
	l.End = l.Start + uint64(h.rng.IntN(lockSpan-1-int(l.Start)+1))
	if h.chance(4) || l.End >= lockSpan-1 {
		l.End = 1<<63 - 1
	}
	ino := h.any()
	switch h.rng.IntN(4) {
	case 0:
		return &meta.Unlock{Volume: h.Volume, Ino: ino, Lock: l}
	case 1:
		return &meta.GetLock{Volume: h.Volume, Ino: ino, Lock: l}
	}
	return &meta.Lock{Volume: h.Volume, Ino: ino, Lock: l}
}
