package meta

import (
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
	view  *kv.Overlay // own changes over what came before
	batch kv.Batch
	err   error

	used   []*usageChange   // usage read or changed, written by finish
	added  []volumeChunk    // chunks recorded by this operation
	stores []honeyant.Store // stores looked at
}

// newTx starts an operation over base.
func newTx(base kv.Reader, env Env) *Tx {
	return &Tx{Env: env, view: kv.NewOverlay(base)}
}

func (t *Tx) fail(err error) {
	if t.err == nil && err != nil {
		t.err = err
	}
}

// get returns key's value.
func (t *Tx) get(key []byte) ([]byte, bool) {
	v, ok, err := t.view.Get(key)
	t.fail(err)
	return v, ok && t.err == nil
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

// put sets key. It keeps both slices.
func (t *Tx) put(key, value []byte) {
	var one kv.Batch
	one.Put(key, value)
	t.view.Apply(0, &one)
	t.batch.Append(&one)
}

// store encodes a record under key.
func (t *Tx) store(key []byte, fields func(*wire.Codec)) { t.put(key, wire.Marshal(fields)) }

// del removes key.
func (t *Tx) del(key []byte) {
	var one kv.Batch
	one.Delete(key)
	t.view.Apply(0, &one)
	t.batch.Append(&one)
}

// scan goes through lower <= key < upper; fn must not keep its arguments nor change the state.
func (t *Tx) scan(lower, upper []byte, fn func(key, value []byte) bool) {
	t.fail(t.view.Scan(lower, upper, fn))
}

// scanReverse is scan from the end.
func (t *Tx) scanReverse(lower, upper []byte, fn func(key, value []byte) bool) {
	t.fail(t.view.ScanReverse(lower, upper, fn))
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
	return reply, &t.batch, nil
}
