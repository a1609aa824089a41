package main

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// openFlags let the kernel keep what it read, and spare it the FLUSH that close would be.
const openFlags = gofuse.FOPEN_KEEP_CACHE | gofuse.FOPEN_NOFLUSH

const blockSize = 128 << 10

// each cuts buf, which is at offset in the file, at the blocks' borders.
func (n *node) each(buf []byte, offset uint64, do func(part []byte, block, at uint64)) {
	for len(buf) > 0 {
		block, at := offset/blockSize, offset%blockSize
		part := buf[:min(uint64(len(buf)), blockSize-at)]
		do(part, block, at)
		buf, offset = buf[len(part):], offset+uint64(len(part))
	}
}

// resize sets the size of a file.
func (n *node) resize(size uint64) {
	for block, b := range n.blocks {
		switch {
		case block*blockSize >= size:
			delete(n.blocks, block)
		case size < n.attr.Size && size < block*blockSize+uint64(len(b)):
			clear(b[size-block*blockSize:])
		}
	}
	n.attr.Size, n.attr.Blocks = size, (size+511)/512
}

func (m *memory) Open(_ <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[in.NodeId]
	if n == nil {
		return gofuse.ENOENT
	}
	n.opens++
	if in.Flags&syscall.O_TRUNC != 0 {
		n.resize(0)
		n.touch(false)
	}
	out.OpenFlags = openFlags
	return gofuse.OK
}

func (m *memory) Release(_ <-chan struct{}, in *gofuse.ReleaseIn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[in.NodeId]; n != nil {
		n.opens--
		m.drop(n)
	}
}

func (m *memory) Read(_ <-chan struct{}, in *gofuse.ReadIn, buf []byte) (gofuse.ReadResult, gofuse.Status) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.nodes[in.NodeId]
	if n == nil {
		return nil, gofuse.ENOENT
	}
	buf = buf[:min(uint64(len(buf)), uint64(in.Size), n.attr.Size-min(in.Offset, n.attr.Size))]
	n.each(buf, in.Offset, func(part []byte, block, at uint64) {
		b, got := n.blocks[block], 0
		if at < uint64(len(b)) {
			got = copy(part, b[at:])
		}
		clear(part[got:])
	})
	return gofuse.ReadResultData(buf), gofuse.OK
}

func (m *memory) Write(_ <-chan struct{}, in *gofuse.WriteIn, data []byte) (uint32, gofuse.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[in.NodeId]
	if n == nil {
		return 0, gofuse.ENOENT
	}
	if end := in.Offset + uint64(len(data)); end > n.attr.Size {
		n.resize(end)
	}
	n.each(data, in.Offset, func(part []byte, block, at uint64) {
		b := n.blocks[block]
		if b == nil {
			if n.blocks == nil {
				n.blocks = map[uint64][]byte{}
			}
			b = make([]byte, max(at+uint64(len(part)), min(blockSize, n.attr.Size-block*blockSize))) // a small file takes little
			n.blocks[block] = b
		} else if need := at + uint64(len(part)); need > uint64(len(b)) {
			b = append(b, make([]byte, blockSize-len(b))...)
			n.blocks[block] = b
		}
		copy(b[at:], part)
	})
	n.touch(false)
	return uint32(len(data)), gofuse.OK
}

func (m *memory) Fsync(<-chan struct{}, *gofuse.FsyncIn) gofuse.Status    { return gofuse.OK }
func (m *memory) FsyncDir(<-chan struct{}, *gofuse.FsyncIn) gofuse.Status { return gofuse.OK }

func (m *memory) OpenDir(_ <-chan struct{}, _ *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	if m.timeout > 0 {
		out.OpenFlags = gofuse.FOPEN_KEEP_CACHE | gofuse.FOPEN_CACHE_DIR
	}
	return gofuse.OK
}

func (m *memory) ReleaseDir(*gofuse.ReleaseIn) {}

func (m *memory) ReadDir(_ <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return m.list(in, func(n *node, name string, next uint64) bool {
		return out.AddDirEntry(gofuse.DirEntry{Name: name, Mode: n.attr.Mode, Ino: n.attr.Ino, Off: next})
	})
}

func (m *memory) ReadDirPlus(_ <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return m.list(in, func(n *node, name string, next uint64) bool {
		entry := out.AddDirLookupEntry(gofuse.DirEntry{Name: name, Mode: n.attr.Mode, Ino: n.attr.Ino, Off: next})
		if entry == nil {
			return false
		}
		if name != "." && name != ".." {
			m.entry(n, entry)
		}
		return true
	})
}

// list gives the names after in.Offset to add, until it is full.
func (m *memory) list(in *gofuse.ReadIn, add func(n *node, name string, next uint64) bool) gofuse.Status {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d := m.nodes[in.NodeId]
	if d == nil {
		return gofuse.ENOENT
	}
	const dots = 2 // "." and ".." come first
	up := m.nodes[d.parent]
	if up == nil {
		up = d
	}
	for at := in.Offset; at < uint64(len(d.order))+dots; at++ {
		n, name := d, "."
		switch {
		case at == 1:
			n, name = up, ".."
		case at >= dots:
			name = d.order[at-dots]
			n = m.nodes[d.names[name]]
			if name == "" || n == nil {
				continue
			}
		}
		if !add(n, name, at+1) {
			break
		}
	}
	return gofuse.OK
}
