package metatest

import (
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/meta"
)

// Bare is a volume without a leader: each operation is evaluated over a database in memory and
// applied at once. The clock moves by a microsecond an operation. Not for concurrent use.
type Bare struct {
	DB     kv.DB
	Env    meta.Env
	Stores []honeyant.StoreID
	opens  map[honeyant.Ino]bool
}

// NewBare founds a cluster of one node with one store in db, or in memory if db is nil.
func NewBare(t testing.TB, db kv.DB) *Bare {
	t.Helper()
	if db == nil {
		db = kvtest.NewMem()
	}
	b := &Bare{DB: db, opens: map[honeyant.Ino]bool{}}
	b.Env = meta.Env{Now: honeyant.Time{Sec: 1_700_000_000}, Incarnation: 1, Epoch: 1, Opens: b}
	for _, op := range []meta.Op{
		&meta.Bootstrap{Cluster: "0123456789abcdef0123456789abcdef"},
		&meta.AddNode{Name: "one", Address: "one:1", PublicKey: []byte("one")},
		&meta.AddStore{Node: 1, Key: "store", Capacity: 1 << 40},
	} {
		reply, err := b.Do(op)
		if err != nil {
			t.Fatalf("%T: %v", op, err)
		}
		if s, is := reply.(*meta.StoreReply); is {
			b.Stores = append(b.Stores, s.Store.ID)
		}
	}
	b.Env.Session = 1
	return b
}

// Do evaluates an operation and applies its changes.
func (b *Bare) Do(op meta.Op) (meta.Reply, error) {
	reply, changes, err := meta.Eval(b.DB, b.Env, op)
	b.Env.Now = b.next()
	if err != nil {
		return nil, err
	}
	return reply, b.DB.Apply(changes)
}

func (b *Bare) next() honeyant.Time {
	n := b.Env.Now
	if n.Nsec += 1000; n.Nsec >= 1e9 {
		n = honeyant.Time{Sec: n.Sec + 1, Nsec: n.Nsec - 1e9}
	}
	return n
}

// Target is what Run needs.
func (b *Bare) Target() Target {
	return Target{
		Volume: honeyant.MainVolume, Do: b.Do, Session: b.Env.Session, Incarnation: b.Env.Incarnation,
		Replicas: []honeyant.Replica{{Store: b.Stores[0], Generation: 1}},
		Now:      func() honeyant.Time { return b.Env.Now },
		Reaps:    true,
		Repacks:  true,
		Check:    func() error { return Sound(b.DB) },
	}
}

// Sound fails if meta.Check finds anything.
func Sound(db kv.Reader) error {
	faults, err := meta.Check(db)
	if err == nil && len(faults) > 0 {
		err = honeyant.E("metatest.Sound", honeyant.Corrupt, faults[0].String(), nil)
	}
	return err
}

// IsOpen implements meta.OpenTable.
func (b *Bare) IsOpen(_ honeyant.VolumeID, ino honeyant.Ino) bool { return b.opens[ino] }

// Add implements meta.OpenTable.
func (b *Bare) Add(_ honeyant.SessionID, _ honeyant.VolumeID, ino honeyant.Ino) { b.opens[ino] = true }

// Remove implements meta.OpenTable.
func (b *Bare) Remove(_ honeyant.SessionID, _ honeyant.VolumeID, ino honeyant.Ino) {
	delete(b.opens, ino)
}
