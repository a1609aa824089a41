package meta

import (
	"bytes"
	"errors"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Flush carries out what a session has answered by itself under exclusive leases, in order (rules 19, 20). Each record
// is evaluated over those before it. One is refused, and changes nothing, if
//
//   - it looks at an inode to which the session has lost the exclusive lease: Stale;
//   - it fails here, which it can only after such a loss: with its own error;
//   - it looks at an inode that is not a directory and that a refused one looked at, or would have made: as that one.
//
// What the accepted records make is held exclusively by the session from then on. TooLarge and nothing done: it is
// too much for one operation; flush fewer records at a time.
type Flush struct {
	Volume   honeyant.VolumeID
	Records  []JournalRecord // at most MaxJournalRecords, of at most MaxJournalBytes
	LowWater uint64          // as in Commit, whose own says nothing here
}

// JournalRecord is one change: Make without Open, Link, Unlink, Rmdir, Rename, SetAttr, SetXattr, RemoveXattr, or
// Commit without Append.
type JournalRecord struct {
	Now honeyant.Time
	Ino honeyant.Ino // of Make: the number that its inode has, from ReserveInodes
	// Closed says that the session has nothing open that loses its last name by this: since it holds that
	// exclusively nobody has, and it can be deleted at once.
	Closed bool
	Op     Op
}

// Bounds of one Flush. It may change more keys than other operations, since its caller can not know how many.
const (
	MaxJournalRecords = 2048
	MaxJournalBytes   = 512 << 10
	maxFlushTouched   = 4 * MaxTouched
	maxRefused        = 32
)

// Code implements Op.
func (*Flush) Code() Code { return CodeFlush }

func (*Flush) newReply() *FlushReply { return new(FlushReply) }

// Fields implements Op.
func (o *Flush) Fields(c *wire.Codec) {
	wire.Uint(c, &o.Volume)
	wire.Slice(c, &o.Records, MaxJournalRecords, journalRecord)
	wire.Uint(c, &o.LowWater)
}

func journalRecord(c *wire.Codec, r *JournalRecord) {
	wire.Time(c, &r.Now)
	wire.Uint(c, &r.Ino)
	c.Bool(&r.Closed)
	var raw []byte
	if !c.Decoding() && r.Op != nil {
		raw = EncodeOp(r.Op)
	}
	if c.View(&raw, MaxJournalBytes); !c.Decoding() || c.Err() != nil || len(raw) == 0 {
		return
	}
	var code Code
	if wire.Uint(wire.NewDecoder(raw), &code); code == CodeFlush {
		c.Failf("a journal within a journal")
		return
	}
	op, err := DecodeOp(raw)
	if err != nil {
		c.Failf("journal record: %v", err)
	}
	r.Op = op
}

func (o *Flush) eval(tx *Tx) (Reply, error) {
	const op = "meta.Flush"
	if tx.Session == 0 || tx.Leases == nil {
		return nil, honeyant.E(op, honeyant.Invalid, "", errors.New("only a session has a journal"))
	}
	f := flushing{tx: tx, v: o.Volume, base: &inner{t: tx}, poisoned: map[honeyant.Ino]honeyant.Kind{}, born: map[honeyant.Ino]bool{}}
	reply := &FlushReply{Full: tx.Full}
	for n := range o.Records {
		if len(reply.Refused) == maxRefused {
			reply.Rest = true
			break
		}
		if kind, ok := f.record(&o.Records[n]); !ok {
			reply.Refused = append(reply.Refused, Refusal{Index: uint32(n), Kind: kind})
		}
		if f.base.fault != nil {
			return nil, f.base.fault
		}
		const rest = 64 // keys that the end of the operation may still take
		if len(tx.changes) > maxFlushTouched-rest || f.bytes > MaxOpSize-rest<<10 {
			return nil, honeyant.E(op, honeyant.TooLarge, "", errors.New("too much at a time"))
		}
	}
	return reply, nil
}

// flushing is one Flush at work.
type flushing struct {
	tx       *Tx
	v        honeyant.VolumeID
	base     *inner
	poisoned map[honeyant.Ino]honeyant.Kind // why no more record may look at it
	born     map[honeyant.Ino]bool
	bytes    int // changed so far
	sub      Tx  // of the record that is carried out
}

// record carries out one, or tells why it is refused.
func (f *flushing) record(r *JournalRecord) (why honeyant.Kind, ok bool) {
	mk, isMake := r.Op.(*Make)
	if !f.allowed(r.Op) || isMake && !f.fresh(r.Ino) {
		return f.refuse(r, isMake, nil, honeyant.Invalid)
	}
	env := f.tx.Env
	env.Now, env.NewIno, env.Journal, env.Opens = r.Now, 0, true, bornOpen{env.Opens, f.born}
	if isMake {
		env.NewIno = r.Ino
	}
	if r.Closed {
		env.Opens = nil // accepted only if the leases hold
	}
	sub := f.sub.begin(f.base, env)
	_, changes, err := evaluate(sub, r.Op)
	if f.base.fault != nil {
		return honeyant.Other, false
	}
	looked := sub.read
	if err == nil {
		for _, ch := range changes.Changes() {
			looked.note(ch.Key)
		}
	}
	made := false
	for _, file := range looked.files {
		if why, bad := f.poisoned[file.Ino]; bad {
			return f.refuse(r, isMake, looked.files, why)
		}
		if isMake && file.Ino == r.Ino {
			made = mk.Volume == f.v
		} else if !f.born[file.Ino] && !f.tx.Leases.Holds(file) {
			return f.refuse(r, isMake, looked.files, honeyant.Stale)
		}
	}
	if err == nil && isMake && !made { // something is there that was not when the session made it
		return f.refuse(r, isMake, looked.files, honeyant.Stale)
	}
	if err != nil {
		return f.refuse(r, isMake, looked.files, honeyant.KindOf(err))
	}
	f.bytes += changes.Size()
	for _, ch := range changes.Changes() {
		f.tx.change(ch)
	}
	f.note(looked.files, r.Ino, made)
	return 0, true
}

// note keeps what an accepted record rests on, and what it has made.
func (f *flushing) note(looked []OpenFile, ino honeyant.Ino, made bool) {
	for _, file := range looked {
		if !f.born[file.Ino] && !(made && file.Ino == ino) {
			f.tx.needs = append(f.tx.needs, file)
		}
	}
	if made {
		f.born[ino] = true
		f.tx.born = append(f.tx.born, OpenFile{f.v, ino})
	}
}

// fresh tells whether an inode may be made under a number.
func (f *flushing) fresh(ino honeyant.Ino) bool {
	return ino != 0 && uint64(ino) <= f.tx.count(counterInode) && !f.load(ino, new(Inode))
}

// load reads an inode on nobody's account.
func (f *flushing) load(ino honeyant.Ino, i *Inode) bool {
	raw, ok, err := f.base.Get(inoKey(tabInode, f.v, ino))
	return err == nil && ok && wire.Unmarshal(raw, i.fields) == nil
}

// refuse poisons what the record is about.
func (f *flushing) refuse(r *JournalRecord, isMake bool, looked []OpenFile, why honeyant.Kind) (honeyant.Kind, bool) {
	if isMake {
		f.poison(r.Ino, why)
	}
	for _, file := range looked {
		if i := new(Inode); !f.load(file.Ino, i) || !i.Attr.IsDir() {
			f.poison(file.Ino, why)
		}
	}
	return why, false
}

func (f *flushing) poison(ino honeyant.Ino, why honeyant.Kind) {
	if _, already := f.poisoned[ino]; !already {
		f.poisoned[ino] = why
	}
}

// allowed tells whether a session may answer the operation by itself.
func (f *flushing) allowed(op Op) bool {
	switch o := op.(type) {
	case *Make:
		return !o.Open && o.Volume == f.v
	case *Link:
		return o.Volume == f.v
	case *Unlink:
		return o.Volume == f.v
	case *Rmdir:
		return o.Volume == f.v
	case *Rename:
		return o.Volume == f.v
	case *SetAttr:
		return o.Volume == f.v
	case *SetXattr:
		return o.Volume == f.v
	case *RemoveXattr:
		return o.Volume == f.v
	case *Commit:
		return !o.Append && o.Volume == f.v
	}
	return false
}

// inner is what one operation has changed so far, to evaluate another over it.
type inner struct {
	t     *Tx
	fault error
}

// Get implements kv.Reader.
func (b *inner) Get(key []byte) ([]byte, bool, error) {
	if i := b.t.own(key); i >= 0 {
		return bytes.Clone(b.t.changes[i].Value), !b.t.changes[i].Delete, nil
	}
	v, ok, err := b.t.base.Get(key)
	b.note(err)
	return v, ok, err
}

// Scan implements kv.Reader.
func (b *inner) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	err := b.t.reader().Scan(lower, upper, fn)
	b.note(err)
	return err
}

// ScanReverse implements kv.Reader.
func (b *inner) ScanReverse(lower, upper []byte, fn func(key, value []byte) bool) error {
	err := b.t.reader().ScanReverse(lower, upper, fn)
	b.note(err)
	return err
}

func (b *inner) note(err error) {
	if b.fault == nil {
		b.fault = err
	}
}

var _ kv.Reader = (*inner)(nil)

// bornOpen counts what a Flush has made as open: the session may have it open, and says so to nobody (rule 22).
type bornOpen struct {
	OpenTable
	born map[honeyant.Ino]bool
}

// IsOpen implements OpenTable.
func (o bornOpen) IsOpen(v honeyant.VolumeID, ino honeyant.Ino) bool {
	return o.born[ino] || o.OpenTable != nil && o.OpenTable.IsOpen(v, ino)
}

// FlushReply tells what was not done.
type FlushReply struct {
	Refused []Refusal // ascending
	Rest    bool      // everything after the last of Refused was refused too
	Full    bool      // there is no more room for changes that grow (Grows): the session is not to answer any by itself
}

// Refusal says why a record was not done.
type Refusal struct {
	Index uint32
	Kind  honeyant.Kind
}

// Fields implements Reply.
func (r *FlushReply) Fields(c *wire.Codec) {
	wire.Slice(c, &r.Refused, maxRefused, func(c *wire.Codec, f *Refusal) {
		wire.Uint(c, &f.Index)
		wire.Uint(c, &f.Kind)
	})
	c.Bool(&r.Rest)
	if c.More() {
		c.Bool(&r.Full)
	}
}
