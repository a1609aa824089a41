package meta

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/rpc/wire"
)

// fill puts something into each field of an operation or reply.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		fill(v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth)
			}
		}
	case reflect.Slice:
		if depth < 4 {
			s := reflect.MakeSlice(v.Type(), 2, 2)
			fill(s.Index(0), depth+1)
			fill(s.Index(1), depth+1)
			v.Set(s)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth)
		}
	case reflect.Interface: // a journal record's
		op := reflect.ValueOf(new(SetXattr))
		fill(op, depth)
		v.Set(op)
	case reflect.String:
		v.SetString("name")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Int64:
		v.SetInt(-7)
	}
}

// Every operation and reply comes back from the wire as it went.
func TestOpsAndRepliesRoundTrip(t *testing.T) {
	for code, mk := range ops {
		op := mk()
		fill(reflect.ValueOf(op), 0)
		back, err := DecodeOp(EncodeOp(op))
		if err != nil || !reflect.DeepEqual(op, back) {
			t.Errorf("%v: %+v came back as %+v, %v", code, op, back, err)
		}
		reply, second := NewReply(op), NewReply(op)
		fill(reflect.ValueOf(reply), 0)
		if err := wire.Unmarshal(wire.Marshal(reply.Fields), second.Fields); err != nil || !reflect.DeepEqual(reply, second) {
			t.Errorf("%v: reply %+v came back as %+v, %v", code, reply, second, err)
		}
	}
}

// Rule 23: what a session's changes answer fits a slot, whatever is in it.
func TestRepliesFitSlots(t *testing.T) {
	for _, e := range nameOps() {
		if e.code >= firstRead || e.code == CodeReap || e.code == CodeRetag || e.code == CodeFlush {
			continue
		}
		reply := e.reply()
		v := reflect.ValueOf(reply).Elem()
		var large func(reflect.Value)
		large = func(v reflect.Value) {
			switch v.Kind() {
			case reflect.Struct:
				for i := range v.NumField() {
					large(v.Field(i))
				}
			case reflect.Slice, reflect.String:
				t.Errorf("%v answers something of no fixed size", e.code)
			case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
				v.SetUint(^uint64(0) >> (64 - v.Type().Bits()))
			case reflect.Int64:
				v.SetInt(-1 << 63)
			}
		}
		large(v)
		if n := len(wire.Marshal(reply.Fields)); n > MaxStoredReply {
			t.Errorf("%v answers %d bytes", e.code, n)
		}
	}
}

// What a Flush answers is bounded by itself.
func TestRefusalsFitSlots(t *testing.T) {
	r := FlushReply{Rest: true}
	for range maxRefused {
		r.Refused = append(r.Refused, Refusal{Index: MaxJournalRecords, Kind: 255})
	}
	if n := len(wire.Marshal(r.Fields)); n > MaxStoredReply {
		t.Errorf("%d bytes", n)
	}
}

func FuzzDecodeOp(f *testing.F) {
	for _, mk := range ops {
		op := mk()
		f.Add(EncodeOp(op))
		fill(reflect.ValueOf(op), 0)
		f.Add(EncodeOp(op))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		op, err := DecodeOp(raw)
		if err != nil {
			return
		}
		again, err := DecodeOp(EncodeOp(op))
		if err != nil || !reflect.DeepEqual(op, again) {
			t.Fatalf("%+v came back as %+v, %v", op, again, err)
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	open := command{Kind: commandEpoch}
	f.Add(open.encode())
	m := command{Kind: commandBatch, Epoch: 3, Seq: 4}
	m.Batch.Put([]byte("key"), []byte("value"))
	m.Batch.Delete([]byte("other"))
	f.Add(m.encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeCommand(raw)
		if err != nil {
			return
		}
		again, err := decodeCommand(m.encode())
		if err != nil || again.Epoch != m.Epoch || again.Seq != m.Seq || again.Batch.Len() != m.Batch.Len() {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

// FuzzRecords decodes what should be records.
func FuzzRecords(f *testing.F) {
	records := func() []func(*wire.Codec) {
		return []func(*wire.Codec){
			new(Inode).fields, new(dentry).fields, new(extentRecord).fields, new(queued).fields, new(chunkRecord).fields,
			new(volumeRecord).fields, new(usageRecord).fields, new(sessionRecord).fields, new(slotRecord).fields,
			new(nodeRecord).fields, new(storeRecord).fields, new(intentRecord).fields, new(appliedRecord).fields, new(Token).Fields,
		}
	}
	for _, fields := range records() {
		f.Add(wire.Marshal(fields))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for i, fields := range records() {
			if wire.Unmarshal(raw, fields) != nil {
				continue
			}
			once := wire.Marshal(fields)
			if err := wire.Unmarshal(once, fields); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			if !bytes.Equal(once, wire.Marshal(fields)) {
				t.Fatalf("record %d changes", i)
			}
		}
	})
}

func TestOpenTableStamps(t *testing.T) {
	o := newOpenTable()
	f := OpenFile{1, 2}
	o.add(1, f, 5)
	o.add(1, f, 3)
	o.remove(1, f, 4)
	if !o.isOpen(f) {
		t.Fatal("a late release took a later open back")
	}
	o.add(2, f, 1)
	o.remove(1, f, 5)
	if !o.isOpen(f) {
		t.Fatal("the other session has it open")
	}
	o.forget(2)
	if o.isOpen(f) || o.size() != 0 {
		t.Fatal("nobody has it open")
	}
	o.expect(3)
	if !o.isOpen(f) || o.known() || !o.settled(3) || o.settled(3) || o.isOpen(f) {
		t.Fatal("unknown opens")
	}
}

var _ kv.Reader = stateView{}
