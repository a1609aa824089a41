package disk

import (
	"io"
	"maps"
	"math/rand/v2"
	"syscall"
)

type sector [SectorSize]byte

// inode is a file's content twice: as programs see it and as the platter has it.
type inode struct {
	sectors map[int64]*sector // allocated ones; nil value: reserved, reads as zeros
	size    int64
	synced  map[int64]*sector
	syncLen int64
	dirty   map[int64]bool // differs, and the next Sync is to write it

	links, opens int
	released     bool
}

func newInode() *inode {
	return &inode{sectors: map[int64]*sector{}, synced: map[int64]*sector{}, dirty: map[int64]bool{}}
}

// crash is the inode after a power cut. Sectors that Sync failed on are in doubt as much as dirty ones.
func (ino *inode) crash(rng *rand.Rand) *inode {
	c := newInode()
	c.links = 1
	c.size = ino.syncLen
	if ino.size != ino.syncLen && rng.IntN(2) == 0 {
		c.size = ino.size
	}
	last := int64(-1)
	for i := range ino.sectors {
		last = max(last, i)
	}
	for i := range ino.synced {
		last = max(last, i)
	}
	for i := int64(0); i <= last; i++ {
		now, nowOK := ino.sectors[i]
		was, wasOK := ino.synced[i]
		if now != was && rng.IntN(2) == 0 {
			was, wasOK = now, nowOK
		}
		if !wasOK {
			continue
		}
		if i*SectorSize >= c.size {
			was = nil
		}
		c.sectors[i], c.synced[i] = was, was
	}
	c.syncLen = c.size
	return c
}

// clone is a copy that nobody has open. Sectors are shared: they are never changed in place.
func (ino *inode) clone() *inode {
	return &inode{sectors: maps.Clone(ino.sectors), size: ino.size, synced: maps.Clone(ino.synced),
		syncLen: ino.syncLen, dirty: maps.Clone(ino.dirty)}
}

type memoryFile struct {
	fs     *Memory
	name   string
	ino    *inode
	closed bool
}

// ReadAt implements io.ReaderAt.
func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.fault(OpRead, f.name); err != nil {
		return 0, wrap("disk.Read", f.name, err)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, wrap("disk.Read", f.name, syscall.EBADF)
	}
	n := 0
	for n < len(p) && off+int64(n) < f.ino.size {
		at := off + int64(n)
		in := at % SectorSize
		step := int(min(SectorSize-in, int64(len(p)-n), f.ino.size-at))
		if s := f.ino.sectors[at/SectorSize]; s != nil {
			copy(p[n:n+step], s[in:])
		} else {
			clear(p[n : n+step])
		}
		n += step
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt. Sectors are never changed in place: a crashed clone shares them.
func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	ferr := f.fs.fault(OpWrite, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(); err != nil {
		return 0, wrap("disk.Write", f.name, err)
	}
	if f.closed {
		return 0, wrap("disk.Write", f.name, syscall.EBADF)
	}
	if ferr != nil {
		return 0, wrap("disk.Write", f.name, ferr)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		i, in := at/SectorSize, at%SectorSize
		old, allocated := f.ino.sectors[i]
		if !allocated && !f.take(1) {
			return n, wrap("disk.Write", f.name, syscall.ENOSPC)
		}
		s := new(sector)
		if old != nil {
			*s = *old
		}
		n += copy(s[in:], p[n:])
		f.ino.sectors[i] = s
		f.ino.dirty[i] = true
		f.ino.size = max(f.ino.size, off+int64(n))
	}
	return n, nil
}

// take allocates n sectors or tells that the disk is full; fs.mu is held.
func (f *memoryFile) take(n int64) bool {
	if f.fs.used+n*SectorSize > f.fs.capacity {
		return false
	}
	f.fs.used += n * SectorSize
	return true
}

// Sync implements File. When a rule makes it fail, the sectors count as clean although they are not on
// the platter, as Linux does it: the next Sync will not write them.
func (f *memoryFile) Sync() error {
	ferr := f.fs.fault(OpSync, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(); err != nil {
		return wrap("disk.Sync", f.name, err)
	}
	if ferr != nil {
		f.ino.dirty = map[int64]bool{}
		return wrap("disk.Sync", f.name, ferr)
	}
	for i := range f.ino.dirty {
		if s, ok := f.ino.sectors[i]; ok {
			f.ino.synced[i] = s
		} else {
			delete(f.ino.synced, i)
		}
	}
	f.ino.dirty = map[int64]bool{}
	f.ino.syncLen = f.ino.size
	return nil
}

// Reserve implements File.
func (f *memoryFile) Reserve(off, n int64) error {
	ferr := f.fs.fault(OpReserve, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(); err != nil {
		return wrap("disk.Reserve", f.name, err)
	}
	if f.fs.noHoles {
		ferr = syscall.EOPNOTSUPP
	}
	if ferr != nil {
		return wrap("disk.Reserve", f.name, ferr)
	}
	var missing []int64
	for i := off / SectorSize; i*SectorSize < off+n; i++ {
		if _, ok := f.ino.sectors[i]; !ok {
			missing = append(missing, i)
		}
	}
	if !f.take(int64(len(missing))) {
		return wrap("disk.Reserve", f.name, syscall.ENOSPC)
	}
	for _, i := range missing {
		f.ino.sectors[i] = nil
		f.ino.dirty[i] = true
	}
	return nil
}

// Punch implements File.
func (f *memoryFile) Punch(off, n int64) error {
	ferr := f.fs.fault(OpPunch, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(); err != nil {
		return wrap("disk.Punch", f.name, err)
	}
	if f.fs.noHoles {
		ferr = syscall.EOPNOTSUPP
	}
	if ferr != nil {
		return wrap("disk.Punch", f.name, ferr)
	}
	first := (off + SectorSize - 1) / SectorSize
	f.free(first, (off+n)/SectorSize)
	return nil
}

// free drops sectors [first, end); fs.mu is held.
func (f *memoryFile) free(first, end int64) {
	drop := func(i int64) {
		if _, ok := f.ino.sectors[i]; ok {
			delete(f.ino.sectors, i)
			f.ino.dirty[i] = true
			f.fs.used -= SectorSize
		}
	}
	if end-first < int64(len(f.ino.sectors)) {
		for i := first; i < end; i++ {
			drop(i)
		}
		return
	}
	for i := range f.ino.sectors {
		if i >= first && i < end {
			drop(i)
		}
	}
}

// Expect implements File.
func (f *memoryFile) Expect(int64, int64) error { return nil }

// DropCache implements File: what a failed Sync left in memory only is lost now.
func (f *memoryFile) DropCache(off, n int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	for i, s := range f.ino.sectors {
		inside := i*SectorSize >= off && (n == 0 || (i+1)*SectorSize <= off+n)
		if inside && !f.ino.dirty[i] && f.ino.synced[i] != s {
			f.ino.sectors[i] = f.ino.synced[i]
		}
	}
	return nil
}

// Size implements File.
func (f *memoryFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.ino.size, nil
}

// Truncate implements File.
func (f *memoryFile) Truncate(size int64) error {
	ferr := f.fs.fault(OpTruncate, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(); err != nil {
		return wrap("disk.Truncate", f.name, err)
	}
	if ferr != nil {
		return wrap("disk.Truncate", f.name, ferr)
	}
	end := (size + SectorSize - 1) / SectorSize
	f.free(end, 1<<62)
	if in := size % SectorSize; in != 0 && size < f.ino.size {
		if old := f.ino.sectors[end-1]; old != nil {
			s := new(sector)
			copy(s[:in], old[:in])
			f.ino.sectors[end-1] = s
			f.ino.dirty[end-1] = true
		}
	}
	f.ino.size = size
	return nil
}

// Close implements File.
func (f *memoryFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.ino.opens--
	f.fs.release(f.ino)
	return nil
}
