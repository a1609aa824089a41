package meta

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// ErrNotHeld says that an operation looks at something that a Shadow does not hold: the leader has to be asked.
var ErrNotHeld = errors.New("meta: not all that the operation looks at is leased exclusively")

// Shadow is the part of the state that a session holds exclusive leases on, with its own changes that have not
// reached the leader yet. Operations are evaluated over it by the same code as at the leader, so that a
// Flush of them comes out the same there. What it does not hold it does not guess: ErrNotHeld. Not safe
// for concurrent use.
type Shadow struct {
	v     honeyant.VolumeID
	open  func(honeyant.Ino) bool // has the session the inode open
	spare func() uint64           // an inode number of its own, for new data IDs
	over  *kv.Overlay
	held  map[honeyant.Ino]*shadowed
	data  map[DataID]struct{} // of which all extents are known
	bytes int64
	tick  uint64
	fresh map[honeyant.Ino]*Inode // some inodes, decoded
	own   bool                    // a scan for records that are there, not for what there is
	tx    Tx                      // of the operation that is carried out
}

// shadowed is an inode that is held.
type shadowed struct {
	data    DataID // its extents are known if it is in Shadow.data
	dir     bool
	until   uint64 // a directory: all its names with lesser cookies are known
	gap     uint64 // from one of its names to the next, on average in the last answer about them, in cookies
	leaving bool   // only Commit may still look at it
	used    uint64 // tick at which it was used last
	version uint64 // Attr.Version now
	ctime   honeyant.Time
	deleted bool // has no name
}

// A Local is an operation to evaluate over a Shadow.
type Local struct {
	Op  Op
	Now honeyant.Time
	Ino honeyant.Ino // number of the inode that a Make makes
}

// Touched is an inode that an operation looked at, with the version that it left.
type Touched struct {
	Ino     honeyant.Ino
	Version uint64 // 0: the inode is gone
	Ctime   honeyant.Time
	Deleted bool // it has no name any more, or is gone
	Changed bool
}

// recordCost is about what a record takes besides its key and value, in bytes.
const recordCost = 96

// NewShadow makes a Shadow that holds nothing. open tells whether the session has an inode open, spare hands out
// numbers that ReserveInodes gave to this session.
func NewShadow(v honeyant.VolumeID, open func(honeyant.Ino) bool, spare func() uint64) *Shadow {
	s := &Shadow{v: v, open: open, spare: spare}
	s.Clear()
	return s
}

// Clear lets go of everything.
func (s *Shadow) Clear() {
	s.over = kv.NewOverlay(shadowBase{s})
	s.held, s.data = map[honeyant.Ino]*shadowed{}, map[DataID]struct{}{}
	s.fresh = map[honeyant.Ino]*Inode{}
	s.bytes = 0
}

// Holds tells whether an inode is held and not leaving.
func (s *Shadow) Holds(ino honeyant.Ino) bool {
	h := s.held[ino]
	return h != nil && !h.leaving
}

// Has tells whether an inode is held, leaving or not.
func (s *Shadow) Has(ino honeyant.Ino) bool { return s.held[ino] != nil }

// Leave says that an inode is about to be given back: from now on only Commit may look at it. False if it is
// not held.
func (s *Shadow) Leave(ino honeyant.Ino) bool {
	h := s.held[ino]
	if h != nil {
		h.leaving = true
	}
	return h != nil
}

// Version is the version of a held inode.
func (s *Shadow) Version(ino honeyant.Ino) uint64 {
	if h := s.held[ino]; h != nil {
		return h.version
	}
	return 0
}

// Len is how many inodes are held, and Bytes about what they take.
func (s *Shadow) Len() int     { return len(s.held) }
func (s *Shadow) Bytes() int64 { return s.bytes }

// Inodes calls fn for each inode that is held.
func (s *Shadow) Inodes(fn func(ino honeyant.Ino)) {
	for ino := range s.held {
		fn(ino)
	}
}

// ByUse lists the inodes that are held, those first that were used least lately.
func (s *Shadow) ByUse() []honeyant.Ino {
	type use struct {
		ino  honeyant.Ino
		used uint64
	}
	uses := make([]use, 0, len(s.held))
	for ino, h := range s.held {
		uses = append(uses, use{ino, h.used})
	}
	slices.SortFunc(uses, func(a, b use) int { return cmp.Compare(a.used, b.used) })
	inos := make([]honeyant.Ino, len(uses))
	for i, u := range uses {
		inos[i] = u.ino
	}
	return inos
}

// Attr is the attributes of a held inode.
func (s *Shadow) Attr(ino honeyant.Ino) (honeyant.Attr, bool) {
	h := s.held[ino]
	if h == nil || h.leaving {
		return honeyant.Attr{}, false
	}
	s.use(h)
	i, ok := s.inode(ino)
	return i.Attr, ok
}

// PolicyAt is the directory whose policy holds for a held inode, 0 for the default of the volume.
func (s *Shadow) PolicyAt(ino honeyant.Ino) (honeyant.Ino, bool) {
	if s.held[ino] == nil {
		return 0, false
	}
	i, ok := s.inode(ino)
	return i.PolicyAt, ok
}

func (s *Shadow) use(h *shadowed) {
	s.tick++
	h.used = s.tick
}

// freshMost bounds the inodes that are kept decoded, each a few hundred bytes.
const freshMost = 1024

func (s *Shadow) inode(ino honeyant.Ino) (i Inode, ok bool) {
	if have := s.fresh[ino]; have != nil {
		return *have, true
	}
	raw, ok, err := s.over.Get(inoKey(tabInode, s.v, ino))
	if !ok || err != nil || wire.Unmarshal(raw, i.fields) != nil {
		return i, false
	}
	kept := i
	s.keep(&kept)
	return i, true
}

// keep keeps an inode decoded.
func (s *Shadow) keep(i *Inode) {
	if len(s.fresh) >= freshMost {
		clear(s.fresh)
	}
	s.fresh[i.Attr.Ino] = i
}

// Child is what a name in a held directory stands for, and its type, such as honeyant.ModeDir; ok false if the directory is not held
// or there is no such name.
func (s *Shadow) Child(dir honeyant.Ino, name string) (ino honeyant.Ino, kind uint32, ok bool) {
	if s.held[dir] == nil {
		return 0, 0, false
	}
	raw, ok, err := s.over.Get(dentryKey(s.v, dir, name))
	var d dentry
	if !ok || err != nil || wire.Unmarshal(raw, d.fields) != nil {
		return 0, 0, false
	}
	return d.Ino, d.Type, true
}

// Until is the cookie below which all names of a held directory are known; 0 if it is not held.
func (s *Shadow) Until(dir honeyant.Ino) uint64 {
	if h := s.held[dir]; h != nil {
		return h.until
	}
	return 0
}

// Knows tells whether a directory is held and known as far as a name, so that Child says if it is there.
func (s *Shadow) Knows(dir honeyant.Ino, name string) bool {
	return nameHash(name) < s.Until(dir)
}

// Ahead is about how many names of a held directory have to be told until this one is known; whole, until all are.
func (s *Shadow) Ahead(dir honeyant.Ino, name string) (names, whole uint64) {
	h := s.held[dir]
	if h == nil || h.until == AllNames {
		return 0, 0
	}
	if hash := nameHash(name); hash >= h.until {
		names = (hash-h.until)/max(h.gap, 1) + 1
	}
	return names, (1<<63-h.until)/max(h.gap, 1) + 1
}

// Names is about how many names a held directory has; AllNames if that is not known.
func (s *Shadow) Names(dir honeyant.Ino) uint64 {
	if h := s.held[dir]; h != nil && h.gap > 0 {
		return 1 << 63 / h.gap
	}
	return AllNames
}

// Children calls fn for the known entries of a held directory that are held, too.
func (s *Shadow) Children(dir honeyant.Ino, fn func(ino honeyant.Ino, dir bool)) {
	if h := s.held[dir]; h == nil || !h.dir {
		return
	}
	s.scanOwn(dentryFrom(s.v, dir, 0), inoKey(tabDentry, s.v, dir+1), func(_, value []byte) {
		var d dentry
		if wire.Unmarshal(value, d.fields) == nil && s.held[d.Ino] != nil {
			fn(d.Ino, s.held[d.Ino].dir)
		}
	})
}

// A Subdir is a directory in another one.
type Subdir struct {
	Name string
	Ino  honeyant.Ino
}

// followMost is how many names of a directory are looked at to find the next one in their order.
const followMost = 512

// Following finds the directories next to a name in a held directory, in the order of a listing and, if it is not too large, in the
// order of names; zero if there is none, or none is known.
func (s *Shadow) Following(dir honeyant.Ino, name string) (listed, named Subdir) {
	if h := s.held[dir]; h == nil || !h.dir {
		return Subdir{}, Subdir{}
	}
	end, at := inoKey(tabDentry, s.v, dir+1), dentryKey(s.v, dir, name)
	s.scanWhile(at, end, func(key, value []byte) bool {
		if d, ok := subdir(key, value); ok && d.Name != name {
			listed = d
		}
		return listed.Ino == 0
	})
	seen := 0
	s.scanWhile(dentryFrom(s.v, dir, 0), end, func(key, value []byte) bool {
		if d, ok := subdir(key, value); ok && d.Name > name && (named.Ino == 0 || d.Name < named.Name) {
			named = d
		}
		seen++
		return seen <= followMost
	})
	if seen > followMost {
		named = Subdir{}
	}
	return listed, named
}

func subdir(key, value []byte) (d Subdir, ok bool) {
	var e dentry
	if wire.Unmarshal(value, e.fields) != nil || e.Type != honeyant.ModeDir {
		return Subdir{}, false
	}
	_, name := splitDentry(key)
	return Subdir{name, e.Ino}, true
}

// Take takes in what a Take granted, but for inodes that are held already, of which the Shadow may know more. It
// tells which are new. Of a directory that is held it takes in the names that follow those it knows.
func (s *Shadow) Take(r *TakeReply) (fresh []honeyant.Ino, err error) {
	if r.From != 0 && len(r.Held) > 0 && s.held[r.Held[0]] == nil {
		return nil, nil // it was given back meanwhile
	}
	for _, rec := range r.Records {
		if !s.knows(r, rec.Key) {
			s.put(rec.Key, rec.Value)
		}
	}
	for n, ino := range r.Held {
		if h := s.held[ino]; h != nil {
			if n == 0 && r.From <= h.until {
				h.gap, h.until = r.gap(), max(h.until, r.Until)
			}
			continue
		}
		i, ok := s.inode(ino)
		if !ok {
			return fresh, honeyant.E("meta.Take", honeyant.Corrupt, inoString(ino), errors.New("granted without its record"))
		}
		h := &shadowed{data: i.Data, dir: i.Attr.IsDir(), version: i.Attr.Version, ctime: i.Attr.Ctime, deleted: i.Attr.Nlink == 0}
		if n == 0 {
			h.gap, h.until = r.gap(), r.Until
		}
		s.use(h)
		s.held[ino] = h
		fresh = append(fresh, ino)
		if i.Attr.IsFile() && (i.Covered == 0 || n == 0 && r.Complete) {
			s.data[i.Data] = struct{}{}
		}
	}
	return fresh, nil
}

// knows tells whether a record of an answer is about something that is known already, and maybe better, or is a name behind some
// that are not known.
func (s *Shadow) knows(r *TakeReply, key []byte) bool {
	owner, ok := s.ownerOf(key)
	if !ok {
		return false
	}
	h := s.held[owner]
	if h == nil || key[0] != tabDentry {
		return h != nil
	}
	hash, _ := splitDentry(key)
	return hash < h.until || r.From > h.until
}

// ownerOf is the inode whose record a key is, ok false for extents and chunks, which have others.
func (s *Shadow) ownerOf(key []byte) (ino honeyant.Ino, ok bool) {
	switch key[0] {
	case tabInode, tabDentry, tabXattr:
		return honeyant.Ino(binary.BigEndian.Uint64(key[5:])), true
	}
	return 0, false
}

// Drop lets go of an inode.
func (s *Shadow) Drop(ino honeyant.Ino) {
	h := s.held[ino]
	if h == nil {
		return
	}
	s.DropExtents(ino)
	s.remove(inoKey(tabInode, s.v, ino))
	s.removeAll(inoKey(tabXattr, s.v, ino), inoKey(tabXattr, s.v, ino+1))
	if h.dir {
		s.removeAll(dentryFrom(s.v, ino, 0), inoKey(tabDentry, s.v, ino+1))
	}
	delete(s.held, ino)
}

// DropExtents forgets the extents of a file, so that reading it is up to the leader.
func (s *Shadow) DropExtents(ino honeyant.Ino) {
	h := s.held[ino]
	if h == nil || h.data == 0 {
		return
	}
	if _, known := s.data[h.data]; known {
		s.removeAll(extentKey(s.v, h.data, 0), extentKey(s.v, h.data+1, 0))
		delete(s.data, h.data)
	}
}

// Sweep forgets chunks that no extent names any more.
func (s *Shadow) Sweep() {
	named := map[honeyant.ChunkID]bool{}
	s.each(volumeKey(tabExtent, s.v, 0), func(_, value []byte) {
		var e extentRecord
		if wire.Unmarshal(value, e.fields) == nil && e.Inline == nil {
			named[e.Chunk] = true
		}
	})
	var gone [][]byte
	s.each(volumeKey(tabChunk, s.v, 0), func(key, _ []byte) {
		if !named[honeyant.ChunkID(key[5:])] {
			gone = append(gone, append([]byte(nil), key...))
		}
	})
	for _, key := range gone {
		s.remove(key)
		s.remove(chunkKey(tabDead, s.v, honeyant.ChunkID(key[5:])))
	}
}

func (s *Shadow) each(prefix []byte, fn func(key, value []byte)) {
	s.scanOwn(prefix, kv.PrefixEnd(prefix), fn)
}

// scanOwn goes through the records that are there, of whatever inode.
func (s *Shadow) scanOwn(lower, upper []byte, fn func(key, value []byte)) {
	s.scanWhile(lower, upper, func(key, value []byte) bool { fn(key, value); return true })
}

// scanWhile is scanOwn until fn answers false.
func (s *Shadow) scanWhile(lower, upper []byte, fn func(key, value []byte) bool) {
	s.own = true
	defer func() { s.own = false }()
	if err := s.over.Scan(lower, upper, fn); err != nil {
		panic("meta: a shadow can not be read: " + err.Error())
	}
}

// Do evaluates an operation, and lays what it changes over what is held. Errors are the operation's own, or
// ErrNotHeld; then nothing has changed.
func (s *Shadow) Do(l Local) (Reply, []Touched, error) {
	tx := s.tx.begin(s.over, Env{Now: l.Now, NewIno: l.Ino, Shadow: true, Opens: shadowOpens{s}, Inodes: s.known})
	reply, changes, err := evaluate(tx, l.Op)
	if errors.Is(err, ErrNotHeld) {
		return nil, nil, ErrNotHeld
	}
	_, commit := l.Op.(*Commit)
	for _, f := range tx.read.files {
		h := s.held[f.Ino]
		if f.Volume != s.v || h == nil || h.leaving && !commit {
			if f.Ino == l.Ino && l.Ino != 0 {
				continue
			}
			return nil, nil, ErrNotHeld
		}
		s.use(h)
	}
	if err != nil {
		return nil, nil, err
	}
	var all []Touched
	for _, f := range tx.read.files {
		if f.Ino != l.Ino || s.held[f.Ino] != nil {
			all = append(all, Touched{Ino: f.Ino})
		}
	}
	if changes.Len() > 0 {
		all = s.apply(changes, tx.inodes, all)
	}
	for n := range all {
		if h := s.held[all[n].Ino]; h != nil {
			all[n].Version, all[n].Ctime, all[n].Deleted = h.version, h.ctime, h.deleted
		} else {
			all[n].Deleted = true
		}
	}
	return reply, all, nil
}

// known is inode for an operation.
func (s *Shadow) known(v honeyant.VolumeID, ino honeyant.Ino) (Inode, bool) {
	if v != s.v {
		return Inode{}, false
	}
	return s.inode(ino)
}

// apply lays changes over what is held, and notes in list which inodes they concern; inodes are those that were changed, decoded.
func (s *Shadow) apply(changes *kv.Batch, inodes []Inode, list []Touched) []Touched {
	note := func(ino honeyant.Ino) {
		for n := range list {
			if list[n].Ino == ino {
				list[n].Changed = true
				return
			}
		}
		list = append(list, Touched{Ino: ino, Changed: true})
	}
	for _, ch := range changes.Changes() {
		switch ch.Key[0] {
		case tabInode:
			ino := honeyant.Ino(binary.BigEndian.Uint64(ch.Key[5:]))
			note(ino)
			if ch.Delete {
				s.Drop(ino)
			} else {
				s.putInode(ino, ch, inodes)
			}
		case tabDentry, tabXattr:
			note(honeyant.Ino(binary.BigEndian.Uint64(ch.Key[5:])))
			s.change(ch)
		case tabExtent, tabChunk, tabDead:
			s.change(ch)
		} // all other tables are the leader's business
	}
	return list
}

func (s *Shadow) putInode(ino honeyant.Ino, ch kv.Change, inodes []Inode) {
	decoded := s.fresh[ino]
	s.change(ch)
	for n := range inodes {
		if inodes[n].Attr.Ino == ino {
			if decoded == nil {
				decoded = new(Inode)
			}
			*decoded = inodes[n]
			s.keep(decoded)
		}
	}
	i, ok := s.inode(ino)
	if !ok {
		panic("meta: an inode's record does not decode")
	}
	h := s.held[ino]
	if h == nil { // born here
		h = &shadowed{dir: i.Attr.IsDir(), until: AllNames}
		s.use(h)
		s.held[ino] = h
		if i.Data != 0 {
			s.data[i.Data] = struct{}{}
		}
	} else if i.Data != h.data {
		s.DropExtents(ino)
		s.data[i.Data] = struct{}{} // it begins empty
	}
	h.data, h.version, h.ctime, h.deleted = i.Data, i.Attr.Version, i.Attr.Ctime, i.Attr.Nlink == 0
}

func (s *Shadow) change(ch kv.Change) {
	if ch.Delete {
		s.remove(ch.Key)
	} else {
		s.put(ch.Key, ch.Value)
	}
}

func (s *Shadow) put(key, value []byte) {
	s.stale(key)
	old, had := s.over.Set(key, value)
	s.bytes += sizeOfRecord(key, value, true) - sizeOfRecord(key, old, had)
}

func (s *Shadow) remove(key []byte) {
	s.stale(key)
	old, had := s.over.Unset(key)
	s.bytes -= sizeOfRecord(key, old, had)
}

// stale forgets what was decoded of a record that changes.
func (s *Shadow) stale(key []byte) {
	if key[0] == tabInode {
		delete(s.fresh, honeyant.Ino(binary.BigEndian.Uint64(key[5:])))
	}
}

// sizeOfRecord is what a record takes in memory, if it is there.
func sizeOfRecord(key, value []byte, there bool) int64 {
	if !there {
		return 0
	}
	return int64(len(key) + len(value) + recordCost)
}

func (s *Shadow) removeAll(lower, upper []byte) {
	var keys [][]byte
	s.scanOwn(lower, upper, func(key, _ []byte) { keys = append(keys, append([]byte(nil), key...)) })
	for _, key := range keys {
		s.remove(key)
	}
}

// shadowOpens answers which inodes are open. One whose extents are not known counts as open when its last name goes:
// it becomes an orphan here, for which they are not looked at.
type shadowOpens struct{ s *Shadow }

// IsOpen implements OpenTable.
func (o shadowOpens) IsOpen(_ honeyant.VolumeID, ino honeyant.Ino) bool {
	h := o.s.held[ino]
	if h != nil && !h.dir && h.data != 0 {
		if _, known := o.s.data[h.data]; !known {
			return true
		}
	}
	return o.s.open(ino)
}

// Add implements OpenTable: opens of what is held need no registration.
func (shadowOpens) Add(honeyant.SessionID, honeyant.VolumeID, honeyant.Ino) {}

// Remove implements OpenTable.
func (shadowOpens) Remove(honeyant.SessionID, honeyant.VolumeID, honeyant.Ino) {}

// shadowBase is what lies under the records of a Shadow: it tells what there is not from what is not known.
type shadowBase struct{ s *Shadow }

// Get implements kv.Reader.
func (b shadowBase) Get(key []byte) ([]byte, bool, error) {
	if key[0] == tabCounter && string(key[1:]) == counterInode {
		return binary.BigEndian.AppendUint64(nil, b.s.spare()-1), true, nil
	}
	return nil, false, b.known(key)
}

func (b shadowBase) known(key []byte) error {
	if b.s.own {
		return nil
	}
	switch key[0] {
	case tabInode, tabDentry, tabXattr:
		if len(key) < 13 {
			return ErrNotHeld
		}
		h := b.s.held[honeyant.Ino(binary.BigEndian.Uint64(key[5:]))]
		if h == nil {
			return ErrNotHeld
		}
		if key[0] == tabDentry && h.until != AllNames {
			if len(key) < 21 {
				return ErrNotHeld
			}
			if hash, _ := splitDentry(key); hash >= h.until {
				return ErrNotHeld
			}
		}
	case tabExtent:
		if len(key) < 13 {
			return ErrNotHeld
		}
		if _, ok := b.s.data[DataID(binary.BigEndian.Uint64(key[5:]))]; !ok {
			return ErrNotHeld
		}
	case tabPolicy, tabVolume, tabNode, tabStore:
		return ErrNotHeld
	}
	return nil
}

// Scan implements kv.Reader.
func (b shadowBase) Scan(lower, _ []byte, _ func(key, value []byte) bool) error {
	return b.allKnown(lower)
}

// ScanReverse implements kv.Reader.
func (b shadowBase) ScanReverse(lower, _ []byte, _ func(key, value []byte) bool) error {
	return b.allKnown(lower)
}

// allKnown is known for all records of an inode from lower on: of a directory, all its names.
func (b shadowBase) allKnown(lower []byte) error {
	if err := b.known(lower); err != nil || b.s.own || lower[0] != tabDentry {
		return err
	}
	if b.s.Until(honeyant.Ino(binary.BigEndian.Uint64(lower[5:]))) != AllNames {
		return ErrNotHeld
	}
	return nil
}
