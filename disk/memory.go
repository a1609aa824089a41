package disk

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sort"
	"sync"
	"syscall"

	"github.com/honeyant/honeyant"
)

// Memory is an FS in memory for tests. It knows what is synced and what is not: Crash
// gives the disk as a machine finds it after a power cut. It can be full (capacity), fail by rule
// (Inject) and lose its power in the middle of a call (CutPower). Safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	capacity int64 // bytes, 0 = 1 TiB
	used     int64 // sectors allocated, in bytes
	names    map[string]*inode
	durable  map[string]*inode
	pending  []nameChange // since the last SyncDir
	locks    map[string]bool
	subs     map[string]*Memory
	faults   []*faultState
	noHoles  bool
	steps    int64 // changing operations so far
	cutAt    int64 // step at which the power goes, 0 = never
	dead     bool
}

// nameChange is one unsynced change of the directory: from is removed, to gets ino.
type nameChange struct {
	from, to string
	ino      *inode
}

// NewMemory makes an empty one that holds at most capacity bytes (0: as good as unlimited).
func NewMemory(capacity int64) *Memory {
	if capacity == 0 {
		capacity = 1 << 40
	}
	return &Memory{capacity: capacity, names: map[string]*inode{}, durable: map[string]*inode{},
		locks: map[string]bool{}, subs: map[string]*Memory{}}
}

// WithoutHoles makes Reserve and Punch answer Unsupported, as old file systems do.
func (m *Memory) WithoutHoles() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noHoles = true
	return m
}

// SetCapacity changes the capacity in bytes; what is allocated stays.
func (m *Memory) SetCapacity(capacity int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = capacity
}

// Used is the number of bytes allocated.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Steps is the number of changing operations (create, rename, remove, write, sync,
// reserve, punch, truncate) begun so far; with CutPower it lets a test crash at each.
func (m *Memory) Steps() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steps
}

// CutPower makes the n-th changing operation from now on, and everything after it, fail
// with Other and leave no trace. 0 takes that back.
func (m *Memory) CutPower(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutAt = 0
	if n > 0 {
		m.cutAt = m.steps + n
	}
}

var errPower = errors.New("the power is cut")

// step counts a changing operation; m.mu is held.
func (m *Memory) step() error {
	m.steps++
	if m.cutAt != 0 && m.steps >= m.cutAt {
		m.dead = true
	}
	if m.dead {
		return errPower
	}
	return nil
}

// Crash is the disk after a power cut now: what was synced is there; of what was not, each sector
// and each change of a name is kept or lost by rng. The original is left as it is.
func (m *Memory) Crash(rng *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory(m.capacity)
	c.noHoles = m.noHoles
	after := make(map[string]*inode, len(m.durable))
	for name, ino := range m.durable {
		after[name] = ino
	}
	for _, ch := range m.pending {
		if rng.IntN(2) == 0 {
			continue
		}
		if ch.from != "" {
			delete(after, ch.from)
		}
		if ch.to != "" {
			after[ch.to] = ch.ino
		}
	}
	sorted := make([]string, 0, len(after))
	for name := range after {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted) // the same rng gives the same disk
	for _, name := range sorted {
		ino := after[name].crash(rng)
		c.names[name], c.durable[name] = ino, ino
		c.used += int64(len(ino.sectors)) * SectorSize
	}
	for name, sub := range m.subs {
		c.subs[name] = sub.Crash(rng)
	}
	return c
}

// Kill is the disk after the process died but the machine did not: everything written is
// there, what was not synced still is not. The original is left as it is.
func (m *Memory) Kill() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory(m.capacity)
	c.noHoles = m.noHoles
	clones := map[*inode]*inode{}
	clone := func(ino *inode) *inode {
		if ino != nil && clones[ino] == nil {
			clones[ino] = ino.clone()
		}
		return clones[ino]
	}
	for name, ino := range m.names {
		c.names[name] = clone(ino)
		c.names[name].links++
		c.used += int64(len(ino.sectors)) * SectorSize
	}
	for name, ino := range m.durable {
		c.durable[name] = clone(ino)
	}
	for _, ch := range m.pending {
		c.pending = append(c.pending, nameChange{ch.from, ch.to, clone(ch.ino)})
	}
	for name, sub := range m.subs {
		c.subs[name] = sub.Kill()
	}
	return c
}

// Create implements FS.
func (m *Memory) Create(name string) (File, error) {
	if err := checkName("disk.Create", name); err != nil {
		return nil, err
	}
	if err := m.fault(OpCreate, name); err != nil {
		return nil, wrap("disk.Create", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return nil, wrap("disk.Create", name, err)
	}
	if m.names[name] != nil {
		return nil, wrap("disk.Create", name, syscall.EEXIST)
	}
	ino := newInode()
	m.names[name] = ino
	m.pending = append(m.pending, nameChange{to: name, ino: ino})
	ino.links, ino.opens = 1, 1
	return &memoryFile{fs: m, name: name, ino: ino}, nil
}

// Open implements FS.
func (m *Memory) Open(name string) (File, error) {
	if err := checkName("disk.Open", name); err != nil {
		return nil, err
	}
	if err := m.fault(OpOpen, name); err != nil {
		return nil, wrap("disk.Open", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.names[name]
	if ino == nil {
		return nil, wrap("disk.Open", name, syscall.ENOENT)
	}
	ino.opens++
	return &memoryFile{fs: m, name: name, ino: ino}, nil
}

// Rename implements FS.
func (m *Memory) Rename(from, to string) error {
	if err := errors.Join(checkName("disk.Rename", from), checkName("disk.Rename", to)); err != nil {
		return err
	}
	if err := m.fault(OpRename, from); err != nil {
		return wrap("disk.Rename", from, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return wrap("disk.Rename", from, err)
	}
	ino := m.names[from]
	if ino == nil {
		return wrap("disk.Rename", from, syscall.ENOENT)
	}
	if old := m.names[to]; old != nil && old != ino {
		old.links--
		m.release(old)
	}
	delete(m.names, from)
	m.names[to] = ino
	m.pending = append(m.pending, nameChange{from: from, to: to, ino: ino})
	return nil
}

// Remove implements FS.
func (m *Memory) Remove(name string) error {
	if err := checkName("disk.Remove", name); err != nil {
		return err
	}
	if err := m.fault(OpRemove, name); err != nil {
		return wrap("disk.Remove", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return wrap("disk.Remove", name, err)
	}
	ino := m.names[name]
	if ino == nil {
		return wrap("disk.Remove", name, syscall.ENOENT)
	}
	delete(m.names, name)
	ino.links--
	m.release(ino)
	m.pending = append(m.pending, nameChange{from: name})
	return nil
}

// release gives an inode's space back once nobody can reach it; m.mu is held.
func (m *Memory) release(ino *inode) {
	if ino.links == 0 && ino.opens == 0 && !ino.released {
		ino.released = true
		m.used -= int64(len(ino.sectors)) * SectorSize
	}
}

// List implements FS.
func (m *Memory) List() ([]string, error) {
	if err := m.fault(OpList, ""); err != nil {
		return nil, wrap("disk.List", "", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.names)+len(m.subs))
	for name := range m.names {
		names = append(names, name)
	}
	for name := range m.subs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, nil
}

// Sub implements FS. The directory has a capacity and rules of its own.
func (m *Memory) Sub(name string) (FS, error) {
	if err := checkName("disk.Sub", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] != nil {
		return nil, wrap("disk.Sub", name, syscall.ENOTDIR)
	}
	if m.subs[name] == nil {
		m.subs[name] = NewMemory(m.capacity)
	}
	return m.subs[name], nil
}

// SyncDir implements FS.
func (m *Memory) SyncDir() error {
	if err := m.fault(OpSyncDir, ""); err != nil {
		return wrap("disk.SyncDir", "", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return wrap("disk.SyncDir", "", err)
	}
	m.durable = make(map[string]*inode, len(m.names))
	for name, ino := range m.names {
		m.durable[name] = ino
	}
	m.pending = nil
	return nil
}

// Lock implements FS.
func (m *Memory) Lock(name string) (io.Closer, error) {
	if err := checkName("disk.Lock", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, honeyant.E("disk.Lock", honeyant.Conflict, name, fmt.Errorf("locked"))
	}
	m.locks[name] = true
	return &memoryLock{fs: m, name: name}, nil
}

// Space implements FS.
func (m *Memory) Space() (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Space{Total: m.capacity, Free: max(0, m.capacity-m.used)}, nil
}

type memoryLock struct {
	fs   *Memory
	name string
	once sync.Once
}

// Close gives the lock back.
func (l *memoryLock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locks, l.name)
	})
	return nil
}
