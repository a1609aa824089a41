package meta

import (
	"bytes"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// MaxTouched bounds the keys that one operation may change (M5).
const MaxTouched = 4096

// Env is what an operation may know besides the state.
type Env struct {
	Now         honeyant.Time // the leader's clock when it began to evaluate
	Session     honeyant.SessionID
	Incarnation uint32
	Epoch       uint64
	LowWater    uint64 // of the session: it has given up chunks with lower counters (rule 10)
	// StoreUp tells whether the store answers at present; nil: all do.
	StoreUp func(honeyant.StoreID) bool
	// Opens counts the registrations of an inode; nil: none are open.
	Opens OpenTable

	// NewIno is the number that Make gives to what it makes; 0: the next one.
	NewIno honeyant.Ino
	// Inodes tells of an inode of the state, decoded, ok false if it is not at hand; nil: none are.
	Inodes func(v honeyant.VolumeID, ino honeyant.Ino) (i Inode, ok bool)
	// Shadow: the state is what a session holds, and knows nothing of policies and stores.
	Shadow bool
	// Journal: a session has answered the operation under exclusive leases, so that new chunks with fewer copies
	// than the policy asks for are not refused, but healed.
	Journal bool
	// Leases is what the leader knows of exclusive leases; nil: there are none.
	Leases LeaseView
	// Full says that the disk of the metadata has room for what does not grow only.
	Full bool
}

// LeaseView tells of exclusive leases from the view of the asking session.
type LeaseView interface {
	// Holds tells whether the session has the exclusive lease on the inode.
	Holds(f OpenFile) bool
	// MayTake tells whether it could get one. It holds on a child of what it asks for only if nobody has it open.
	MayTake(f OpenFile, dir, child bool) bool
}

// OpenTable is the leader's memory of which sessions have which inodes open (rule 22).
type OpenTable interface {
	IsOpen(v honeyant.VolumeID, ino honeyant.Ino) bool
	Add(s honeyant.SessionID, v honeyant.VolumeID, ino honeyant.Ino)
	Remove(s honeyant.SessionID, v honeyant.VolumeID, ino honeyant.Ino)
}

// Tx is the state as one operation sees it: everything before it, and its own changes.
// Faults of the database stick in err and fail the operation, so that eval code can read
// without checking each call; an absent key is simply not found.
type Tx struct {
	Env
	base    kv.Reader
	changes []kv.Change    // own changes, one a key
	at      map[string]int // key -> index in changes, made when there are many
	inodes  []Inode        // of these, decoded, if Inodes is set: the last of a number counts
	view    *kv.Overlay    // own changes over base, made by the first scan
	err     error

	read   fileList         // inodes that the operation looked at
	used   []*usageChange   // usage read or changed, written by finish
	added  []volumeChunk    // chunks recorded by this operation
	stores []honeyant.Store // stores looked at

	opens []OpenFile // to be registered as open when the operation is accepted
	born  []OpenFile // Flush: inodes made, which the session holds from then on
	needs []OpenFile // Flush: inodes whose exclusive leases the accepted records rest on

	kept
}

// kept is what a Tx that is begun again keeps in memory for the next operation.
type kept struct {
	slots []*Inode // of inode
	taken int
	key   []byte      // of loadInode
	ofOne usageChange // of usageOf
}

// manyChanges is where a linear search of the own changes loses against a map.
const manyChanges = 16

// newTx starts an operation over base.
func newTx(base kv.Reader, env Env) *Tx { return &Tx{Env: env, base: base} }

// begin is newTx in the memory of an operation that is over. Of that nothing is in use any more but keys and values, its reply, and copies.
func (t *Tx) begin(base kv.Reader, env Env) *Tx {
	if cap(t.changes) > 4*manyChanges || cap(t.read.files) > 4*manyChanges || len(t.slots) > 4*manyChanges { // a large one
		*t = Tx{}
	}
	*t = Tx{
		Env: env, base: base, changes: t.changes[:0], inodes: t.inodes[:0], read: fileList{files: t.read.files[:0]}, used: t.used[:0], added: t.added[:0],
		kept: kept{slots: t.slots, key: t.key},
	}
	return t
}

// slot is room for an inode, as long as the operation lasts.
func (t *Tx) slot() *Inode {
	if t.taken == len(t.slots) {
		t.slots = append(t.slots, new(Inode))
	}
	i := t.slots[t.taken]
	t.taken++
	*i = Inode{}
	return i
}

func (t *Tx) fail(err error) {
	if t.err == nil && err != nil {
		t.err = err
	}
}

// own finds the operation's own change of key, -1 if there is none.
func (t *Tx) own(key []byte) int {
	if t.at != nil {
		if i, ok := t.at[string(key)]; ok {
			return i
		}
		return -1
	}
	for i := len(t.changes) - 1; i >= 0; i-- {
		if bytes.Equal(t.changes[i].Key, key) {
			return i
		}
	}
	return -1
}

func (t *Tx) change(ch kv.Change) {
	switch i := t.own(ch.Key); {
	case i >= 0:
		t.changes[i] = ch
	default:
		if t.changes == nil {
			t.changes = make([]kv.Change, 0, manyChanges/2)
		}
		t.changes = append(t.changes, ch)
		if t.at != nil {
			t.at[string(ch.Key)] = len(t.changes) - 1
		} else if len(t.changes) > manyChanges {
			t.at = make(map[string]int, 4*manyChanges)
			for i, c := range t.changes {
				t.at[string(c.Key)] = i
			}
		}
	}
	if t.view != nil {
		t.view.Apply(0, kv.BatchOf([]kv.Change{ch}))
	}
}

// get returns key's value.
func (t *Tx) get(key []byte) ([]byte, bool) {
	if i := t.own(key); i >= 0 {
		return bytes.Clone(t.changes[i].Value), !t.changes[i].Delete && t.err == nil
	}
	t.read.note(key)
	v, ok, err := t.base.Get(key)
	t.fail(err)
	return v, ok && t.err == nil
}

// peek is load for what the answer does not show: nobody looked at the inode on its account.
func (t *Tx) peek(key []byte, fields func(*wire.Codec)) bool {
	quiet := Tx{base: t.reader()}
	ok := quiet.load(key, fields)
	t.fail(quiet.err)
	return ok
}

// load decodes key's value into rec; false if there is none.
func (t *Tx) load(key []byte, fields func(*wire.Codec)) bool {
	v, ok := t.get(key)
	if !ok {
		return false
	}
	if err := wire.Unmarshal(v, fields); err != nil {
		t.fail(honeyant.E("meta.load", honeyant.Corrupt, keyString(key), err))
		return false
	}
	return true
}

// loadInode is load for an inode.
func (t *Tx) loadInode(v honeyant.VolumeID, ino honeyant.Ino, i *Inode) bool {
	t.key = appendInoKey(t.key[:0], tabInode, v, ino)
	if t.Inodes != nil && t.own(t.key) < 0 {
		if have, ok := t.Inodes(v, ino); ok {
			t.read.note(t.key)
			*i = have
			return true
		}
	}
	return t.load(t.key, i.fields)
}

// put sets key. It keeps both slices.
func (t *Tx) put(key, value []byte) { t.change(kv.Change{Key: key, Value: value}) }

// store encodes a record under key.
func (t *Tx) store(key []byte, fields func(*wire.Codec)) { t.put(key, wire.Marshal(fields)) }

// del removes key. It keeps the slice.
func (t *Tx) del(key []byte) { t.change(kv.Change{Key: key, Delete: true}) }

// scan goes through lower <= key < upper; fn must not keep its arguments nor change the state.
func (t *Tx) scan(lower, upper []byte, fn func(key, value []byte) bool) {
	t.read.note(lower)
	t.fail(t.reader().Scan(lower, upper, fn))
}

// scanReverse is scan from the end.
func (t *Tx) scanReverse(lower, upper []byte, fn func(key, value []byte) bool) {
	t.read.note(lower)
	t.fail(t.reader().ScanReverse(lower, upper, fn))
}

// reader shows own changes too.
func (t *Tx) reader() kv.Reader {
	if t.view == nil && len(t.changes) == 0 {
		return t.base
	}
	if t.view == nil {
		t.view = kv.NewOverlay(t.base)
		t.view.Apply(0, kv.BatchOf(t.changes))
	}
	return t.view
}

// result closes the operation: its changes, or the first fault.
func (t *Tx) result(reply Reply, err error) (Reply, *kv.Batch, error) {
	if t.err != nil {
		return nil, nil, t.err
	}
	if err != nil {
		return nil, nil, err
	}
	if t.finish(); t.err != nil {
		return nil, nil, t.err
	}
	return reply, kv.BatchOf(t.changes), nil
}
