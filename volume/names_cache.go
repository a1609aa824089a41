package volume

import (
	"bytes"
	"cmp"
	"container/list"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/internal/spin"
	"github.com/honeyant/honeyant/meta"
)

// nameCache remembers names and attributes under shared leases: what the leader answered about an inode may be
// answered again until the inode is recalled, this volume changes it, or the leases' era ends.
//
// An answer that is on its way while one of these happens is not remembered. For that gen numbers the moments at
// which anything happened, and recalled and changed hold, for each inode (hashed), when it last did. An inode that a
// change of this volume is about to touch is set aside (busy) from before the change is sent until its outcome
// is known: nothing is answered or remembered of it meanwhile, since others may see the change first. Its effects
// are then put into what is remembered, in the order of the Versions. Safe for concurrent use.
type nameCache struct {
	max     int64                    // bytes, about
	journal *journal                 // answers for what is held exclusively
	arrived func(*meta.ReadDirReply) // is told of pages, with mu held

	mu       spin.Mutex // guards what follows
	owner    *session   // whose leases they are
	era      uint64
	inodes   map[honeyant.Ino]*knownInode
	lru      list.List // of *knownInode, the one used last in front
	bytes    int64
	gen      uint64
	recalled [genSlots]uint64
	changed  [genSlots]uint64
	busy     map[honeyant.Ino]int
	walks    map[walkKey]*walk // directories in which names are looked up, or files read

	names, data   habit
	recent        list.List // of *knownInode with contents, the one used last in front
	contentsBytes int64

	hits, misses, recalls atomic.Uint64

	keepMu  sync.Mutex // held while keepers is replaced
	keepers atomic.Pointer[[]*Keeper]
}

const genSlots = 4096

// knownInode is what is remembered of one inode.
type knownInode struct {
	ino        honeyant.Ino
	at         *list.Element
	bytes      int64
	known      bool // attr is
	attr       honeyant.Attr
	target     string            // of a symlink; empty: not known
	xattrs     map[string][]byte // nil values: there is none
	names      []string          // of all xattrs
	allNames   bool
	entries    map[string]knownEntry
	order      []listedName // of entries, nil: not known
	complete   bool         // entries are all there are
	shed       int          // how often entries were forgotten for want of room
	listed     bool         // entries up to this cookie and name are all there are
	cookie     uint64       // "
	lastName   string       // "
	walk       *walk        // brought it, and nobody has used it
	dir        honeyant.Ino // in which it was found under a name with cookie; 0: not known
	cookieIn   uint64       // "
	contents   *contents
	contentsAt *list.Element
	readWalk   *walk // brought contents, and nobody has used them
}

// knownEntry is a name in a directory.
type knownEntry struct {
	ino  honeyant.Ino // 0: there is no such name
	kind uint32
	at   uint64 // Version of the directory after the change of this volume that made it so; 0: as read
}

// Rough costs in bytes.
const (
	knownInodeCost = 400
	knownEntryCost = 100
	knownXattrCost = 64
)

func newNameCache(max int64) *nameCache {
	return &nameCache{arrived: func(*meta.ReadDirReply) {}, max: max, inodes: map[honeyant.Ino]*knownInode{}, busy: map[honeyant.Ino]int{}, walks: map[walkKey]*walk{}}
}

func genSlot(ino honeyant.Ino) uint64 { return uint64(ino) * 0x9e3779b97f4a7c15 >> 52 }

// forget drops inodes that were recalled.
func (n *nameCache) forget(files []meta.OpenFile) {
	n.mu.Lock()
	n.recalls.Add(uint64(len(files)))
	n.gen++
	for _, f := range files {
		n.recalled[genSlot(f.Ino)] = n.gen
		n.drop(f.Ino)
	}
	n.mu.Unlock()
	if n.keepers.Load() != nil {
		n.tell(inodesOf(files), ByOthers)
	}
}

// returned is told that exclusive leases have been given back: what was answered under them is not covered by any lease now.
func (n *nameCache) returned(inos []honeyant.Ino) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.journal.endReturning(inos)
	n.gen++
	for _, ino := range inos {
		n.recalled[genSlot(ino)] = n.gen
	}
	n.dropAll(inos)
}

// adopt makes s the owner of what will be remembered.
func (n *nameCache) adopt(s *session) {
	n.mu.Lock()
	n.owner, n.era = s, 0
	clear(n.busy)
	n.clear()
	n.mu.Unlock()
	n.tell(nil, ByOthers)
}

// present tells whether s is the owner and its leases are in force, and forgets what was of another era. n.mu is held.
func (n *nameCache) present(s *session) bool {
	if n.owner != s {
		return false
	}
	era, ok := s.leaser.Era()
	if n.era != era {
		n.clear()
		n.era = era
	}
	return ok
}

func (n *nameCache) clear() {
	clear(n.inodes)
	n.lru.Init()
	n.recent.Init()
	n.bytes, n.contentsBytes = 0, 0
}

func (n *nameCache) drop(ino honeyant.Ino) {
	if k := n.inodes[ino]; k != nil {
		n.lru.Remove(k.at)
		n.bytes -= k.bytes
		n.dropContents(k)
		delete(n.inodes, ino)
	}
}

// usable finds what may be answered of an inode, nil if nothing.
func (n *nameCache) usable(ino honeyant.Ino) *knownInode {
	k := n.inodes[ino]
	if k == nil || n.busy[ino] > 0 {
		return nil
	}
	n.lru.MoveToFront(k.at)
	return k
}

// entry finds or makes the memory of an inode.
func (n *nameCache) entry(ino honeyant.Ino) *knownInode {
	k := n.inodes[ino]
	if k == nil {
		k = &knownInode{ino: ino}
		k.at = n.lru.PushFront(k)
		n.inodes[ino] = k
		n.charge(k, knownInodeCost)
	}
	return k
}

// charge notes that k takes so much more memory, and forgets what was used least to make room.
func (n *nameCache) charge(k *knownInode, cost int64) {
	k.bytes += cost
	n.bytes += cost
	if k.bytes > n.max/2 { // a directory that is too large
		n.uncharge(k)
	}
	for n.bytes > n.max && n.lru.Len() > 1 {
		last, ok := n.lru.Back().Value.(*knownInode)
		if !ok || last == k {
			return
		}
		n.drop(last.ino)
	}
}

// uncharge forgets all of k but its attributes.
func (n *nameCache) uncharge(k *knownInode) {
	n.bytes -= k.bytes - knownInodeCost
	k.bytes = knownInodeCost
	k.shed++
	k.entries, k.order, k.complete, k.listed = nil, nil, false, false
	k.xattrs, k.names, k.allNames, k.target = nil, nil, false, ""
}

func (n *nameCache) setAttr(a honeyant.Attr) {
	if k := n.entry(a.Ino); !k.known || a.Version >= k.attr.Version {
		k.attr, k.known = a, true
		if k.contents != nil && k.contents.version != a.Version {
			n.dropContents(k)
		}
	}
}

func (n *nameCache) setName(dir honeyant.Ino, name string, e knownEntry) {
	k := n.entry(dir)
	if k.entries == nil {
		k.entries = map[string]knownEntry{}
	}
	if _, had := k.entries[name]; !had {
		n.charge(k, knownEntryCost+int64(len(name)))
		if k.entries == nil {
			return // it has become too large
		}
		k.order = nil
	}
	k.entries[name] = e
}

// answer answers a read from memory, if it can.
func (n *nameCache) answer(s *session, op meta.Op) (r meta.Reply, err error, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) {
		return nil, nil, false
	}
	switch op := op.(type) {
	case *meta.Lookup:
		return n.lookup(op)
	case *meta.GetAttr:
		if k := n.usable(op.Ino); k != nil && k.known {
			return &meta.AttrReply{Attr: k.attr}, nil, true
		}
	case *meta.ReadLink:
		if k := n.usable(op.Ino); k != nil && k.target != "" {
			return &meta.ReadLinkReply{Target: k.target}, nil, true
		}
	case *meta.GetXattr:
		k := n.usable(op.Ino)
		if k == nil {
			return nil, nil, false
		}
		if value, ok := k.xattrs[op.Name]; ok && value == nil {
			return nil, honeyant.E("meta.GetXattr", honeyant.NoAttr, op.Name, nil), true
		} else if ok {
			return &meta.XattrReply{Value: bytes.Clone(value)}, nil, true
		}
	case *meta.ListXattr:
		if k := n.usable(op.Ino); k != nil && k.allNames {
			return &meta.XattrListReply{Names: slices.Clone(k.names)}, nil, true
		}
	case *meta.ReadDir:
		return n.list(op)
	case *meta.Extents:
		return n.extents(op)
	}
	return nil, nil, false
}

func (n *nameCache) lookup(op *meta.Lookup) (meta.Reply, error, bool) {
	if op.Name == "." || op.Name == ".." || op.Name == "" || len(op.Name) > honeyant.MaxName {
		return nil, nil, false
	}
	ino, held := n.journal.child(op.Parent, op.Name) // the directory may be held without the file
	if !held {
		dir := n.usable(op.Parent)
		if dir == nil {
			return nil, nil, false
		}
		e, ok := dir.entries[op.Name]
		if !ok && !dir.complete {
			return nil, nil, false
		}
		if w := n.walks[walkKey{op.Parent, false}]; e.ino == 0 && !ok && w != nil && w.debt > 0 {
			w.debt-- // a page told that there is no such name
		}
		ino = e.ino
	}
	if ino == 0 {
		return nil, honeyant.E("meta.Lookup", honeyant.NotExist, op.Name, nil), true
	}
	if a, ok := n.journal.attr(ino); ok {
		return &meta.EntryReply{Attr: a}, nil, true
	}
	if k := n.usable(ino); k != nil && k.known {
		k.used()
		return &meta.EntryReply{Attr: k.attr}, nil, true
	}
	return nil, nil, false
}

// list answers a part of a directory's listing that is known whole.
func (n *nameCache) list(op *meta.ReadDir) (meta.Reply, error, bool) {
	dir := n.usable(op.Dir)
	if dir == nil || !dir.complete {
		return nil, nil, false
	}
	reply := &meta.ReadDirReply{EOF: true, Plus: op.Plus}
	all := dir.inOrder()
	from := sort.Search(len(all), func(i int) bool {
		l := &all[i]
		return l.cookie > op.Cookie || l.cookie == op.Cookie && op.After != "" && l.name > op.After
	})
	for _, l := range all[from:] {
		e := dir.entries[l.name]
		if e.ino == 0 {
			continue
		}
		if limit := int(op.Limit); limit > 0 && len(reply.Entries) == limit {
			reply.EOF = false
			break
		}
		d := meta.DirEntry{Name: l.name, Ino: e.ino, Type: e.kind, Cookie: l.cookie}
		if op.Plus {
			if a, ok := n.journal.attr(e.ino); ok {
				d.Attr = a
			} else if k := n.usable(e.ino); k != nil && k.known {
				d.Attr = k.attr
			} else {
				return nil, nil, false
			}
		}
		reply.Entries = append(reply.Entries, d)
	}
	return reply, nil, true
}

// listedName is a name, or what was one, at its place in the listing.
type listedName struct {
	cookie uint64
	name   string
}

// inOrder are all names in the order of the listing. n.mu is held.
func (k *knownInode) inOrder() []listedName {
	if k.order == nil {
		k.order = make([]listedName, 0, len(k.entries))
		for name := range k.entries {
			k.order = append(k.order, listedName{meta.NameCookie(name), name})
		}
		slices.SortFunc(k.order, func(a, b listedName) int {
			return cmp.Or(cmp.Compare(a.cookie, b.cookie), cmp.Compare(a.name, b.name))
		})
	}
	return k.order
}

// moment is to be taken before a request is sent whose answer may be remembered.
func (n *nameCache) moment() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gen
}

// learn takes in the answer to a read that was sent at the moment since.
func (n *nameCache) learn(s *session, op meta.Op, r meta.Reply, err error, held meta.Held, since uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if held.Era == 0 || !n.present(s) || n.era != held.Era {
		return
	}
	may := func(ino honeyant.Ino) bool {
		slot := genSlot(ino)
		return n.recalled[slot] <= since && n.changed[slot] <= since && n.busy[ino] == 0 && !excepted(held, ino) && !n.journal.has(ino) && !n.journal.isReturning(ino)
	}
	attr := func(a honeyant.Attr) {
		if may(a.Ino) {
			n.setAttr(a)
		}
	}
	switch op := op.(type) {
	case *meta.Lookup:
		n.learnLookup(op, r, err, may)
	case *meta.GetXattr:
		n.learnXattr(op, r, err, may)
	case *meta.ReadDir:
		if r, ok := r.(*meta.ReadDirReply); ok && err == nil {
			n.learnList(op, r, may)
		}
	case *meta.ListXattr:
		if r, ok := r.(*meta.XattrListReply); ok && err == nil && may(op.Ino) && len(r.Names) < 64 {
			k := n.entry(op.Ino)
			k.names, k.allNames = slices.Clone(r.Names), true
			n.charge(k, int64(len(r.Names))*knownXattrCost)
		}
	case *meta.ReadLink:
		if r, ok := r.(*meta.ReadLinkReply); ok && err == nil && may(op.Ino) {
			k := n.entry(op.Ino)
			k.target = r.Target
			n.charge(k, int64(len(r.Target)))
		}
	}
	if err != nil {
		return
	}
	switch r := r.(type) {
	case *meta.AttrReply:
		attr(r.Attr)
	case *meta.ExtentsReply:
		attr(r.Attr)
		if may(r.Attr.Ino) {
			switch op := op.(type) {
			case *meta.Open:
				n.learnExtents(0, r)
			case *meta.Extents:
				n.learnExtents(op.Offset, r)
			}
		}
	}
}

func excepted(held meta.Held, ino honeyant.Ino) bool {
	return slices.ContainsFunc(held.Except, func(f meta.OpenFile) bool { return f.Ino == ino })
}

func (n *nameCache) learnLookup(op *meta.Lookup, r meta.Reply, err error, may func(honeyant.Ino) bool) {
	plain := op.Name != "." && op.Name != ".."
	if honeyant.KindOf(err) == honeyant.NotExist && err != nil {
		if plain && may(op.Parent) {
			n.setName(op.Parent, op.Name, knownEntry{})
		}
		return
	}
	e, ok := r.(*meta.EntryReply)
	if !ok || err != nil {
		return
	}
	if plain && may(op.Parent) {
		n.setName(op.Parent, op.Name, knownEntry{ino: e.Attr.Ino, kind: e.Attr.Mode & honeyant.ModeType})
	}
	if may(e.Attr.Ino) {
		n.setAttr(e.Attr)
		if plain {
			n.setPlace(e.Attr.Ino, op.Parent, meta.NameCookie(op.Name))
		}
	}
}

func (n *nameCache) learnXattr(op *meta.GetXattr, r meta.Reply, err error, may func(honeyant.Ino) bool) {
	var value []byte
	if x, ok := r.(*meta.XattrReply); ok && err == nil {
		value = append([]byte{}, x.Value...)
	} else if err == nil || honeyant.KindOf(err) != honeyant.NoAttr {
		return
	}
	if !may(op.Ino) || len(value) > 4<<10 {
		return
	}
	k := n.entry(op.Ino)
	n.charge(k, knownXattrCost+int64(len(op.Name)+len(value)))
	if k.xattrs == nil {
		k.xattrs = map[string][]byte{}
	}
	k.xattrs[op.Name] = value
}

// learnList takes in a part of a listing; parts that follow each other up to the end make the directory complete.
func (n *nameCache) learnList(op *meta.ReadDir, r *meta.ReadDirReply, may func(honeyant.Ino) bool) {
	if op.Plus {
		for i := range r.Entries {
			e := &r.Entries[i]
			if !may(e.Ino) {
				continue
			}
			n.setAttr(e.Attr)
			n.setPlace(e.Ino, op.Dir, e.Cookie)
			if e.Told {
				n.setContents(&e.Attr, e.Extents, e.Chunks)
			}
		}
	}
	if !may(op.Dir) {
		return
	}
	k := n.entry(op.Dir)
	start := op.Cookie == 0 && op.After == ""
	follows := start || k.listed && k.cookie == op.Cookie && k.lastName == op.After
	shed := k.shed
	for i := range r.Entries {
		e := &r.Entries[i]
		n.setName(op.Dir, e.Name, knownEntry{ino: e.Ino, kind: e.Type})
	}
	if k.shed != shed || n.inodes[op.Dir] != k {
		k.listed = false
		return
	}
	if !follows {
		return // a page from the middle
	}
	k.listed = true
	if len(r.Entries) > 0 {
		last := &r.Entries[len(r.Entries)-1]
		k.cookie, k.lastName = last.Cookie, last.Name
	}
	k.complete = k.complete || r.EOF
}

// NameStats tells how much is remembered of names and attributes.
type NameStats struct {
	Inodes  int    // of which something is remembered
	Bytes   int64  // that it takes, about
	Hits    uint64 // reads answered from memory
	Misses  uint64 // reads that went to the leader
	Recalls uint64 // inodes recalled
}

func (n *nameCache) stats() NameStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return NameStats{Inodes: len(n.inodes), Bytes: n.bytes, Hits: n.hits.Load(), Misses: n.misses.Load(), Recalls: n.recalls.Load()}
}
