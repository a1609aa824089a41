package remote

import (
	"errors"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Methods of ProtoMeta.
const (
	methodDo rpc.Method = iota + 1
	methodRenew
	methodReassert
	methodRelease
	methodRecalls
	methodReturn
	methodReclaim
)

// maxCover bounds the inodes that a session says it has set aside for a change.
const maxCover = 16

// maxOp bounds an encoded operation or reply, in bytes.
const maxOp = 4 << 20

// doRequest is one operation.
type doRequest struct {
	call meta.Call // without Op
	op   []byte
}

func (r *doRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.call.Session)
	wire.Uint(c, &r.call.Slot)
	wire.Uint(c, &r.call.Seq)
	c.Bool(&r.call.Retry)
	wire.Uint(c, &r.call.Stamp)
	c.Bool(&r.call.Lease)
	wire.Slice(c, &r.call.Cover, maxCover, openFile)
	c.View(&r.op, maxOp)
}

// reassertRequest is a part of what a session has open.
type reassertRequest struct {
	session honeyant.SessionID
	as      meta.Reasserted
	open    []meta.OpenFile
	last    bool
}

// maxOpens bounds the files that one message names.
const maxOpens = 4096

func (r *reassertRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.session)
	wire.Uint(c, &r.as.Epoch)
	wire.Uint(c, &r.as.Stamp)
	wire.Slice(c, &r.open, maxOpens, openFile)
	c.Bool(&r.last)
	wire.Uint(c, &r.as.Term)
}

func openFile(c *wire.Codec, f *meta.OpenFile) {
	wire.Uint(c, &f.Volume)
	wire.Uint(c, &f.Ino)
}

// releaseRequest is what a session no longer has open.
type releaseRequest struct {
	session honeyant.SessionID
	files   []meta.ReleasedFile
}

func (r *releaseRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.session)
	wire.Slice(c, &r.files, maxOpens, func(c *wire.Codec, f *meta.ReleasedFile) {
		openFile(c, &f.OpenFile)
		wire.Uint(c, &f.Stamp)
	})
}

// renewRequest says that a session is alive, and what leases it has use for.
type renewRequest struct {
	session honeyant.SessionID
	epoch   uint64
	want    bool
}

func (r *renewRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.session)
	wire.Uint(c, &r.epoch)
	c.Bool(&r.want)
}

func renewalFields(c *wire.Codec, r *meta.Renewal) {
	wire.Uint(c, &r.Epoch)
	wire.Int(c, &r.TTL)
	wire.Uint(c, &r.LeaseTerm)
	wire.Int(c, &r.LeaseTTL)
	if c.Decoding() && (r.TTL < 0 || r.TTL > time.Hour || r.LeaseTTL < 0 || r.LeaseTTL > time.Hour) {
		c.Failf("TTL %v, of leases %v", r.TTL, r.LeaseTTL)
	}
}

// recallsRequest acknowledges recalls up to ack and asks for more.
type recallsRequest struct {
	session honeyant.SessionID
	term    uint64
	ack     uint64
	hold    time.Duration // the longest time to wait for more
}

// maxHold bounds how long a call for recalls may wait.
const maxHold = 10 * time.Second

func (r *recallsRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.session)
	wire.Uint(c, &r.term)
	wire.Uint(c, &r.ack)
	wire.Int(c, &r.hold)
	if c.Decoding() && (r.hold < 0 || r.hold > maxHold) {
		c.Failf("hold %v", r.hold)
	}
}

func recallFields(c *wire.Codec, r *meta.Recall) {
	wire.Uint(c, &r.Epoch)
	wire.Uint(c, &r.Term)
	wire.Uint(c, &r.Seq)
	wire.Slice(c, &r.Files, maxOpens, openFile)
	wire.Slice(c, &r.Exclusive, maxOpens, openFile)
}

// returnRequest gives exclusive leases back.
type returnRequest struct {
	session honeyant.SessionID
	stamp   uint64
	files   []meta.OpenFile
}

func (r *returnRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.session)
	wire.Uint(c, &r.stamp)
	wire.Slice(c, &r.files, maxOpens, openFile)
}

// reclaimRequest is a part of what a session holds exclusively.
type reclaimRequest struct {
	session honeyant.SessionID
	epoch   uint64
	stamp   uint64
	files   []meta.ReclaimedFile
	last    bool
}

func (r *reclaimRequest) fields(c *wire.Codec) {
	wire.Uint(c, &r.session)
	wire.Uint(c, &r.epoch)
	wire.Uint(c, &r.stamp)
	wire.Slice(c, &r.files, maxOpens, func(c *wire.Codec, f *meta.ReclaimedFile) {
		openFile(c, &f.OpenFile)
		wire.Uint(c, &f.Version)
	})
	c.Bool(&r.last)
	if c.More() { // older sessions do not say it
		r.flights(c)
	}
}

// flights says what of the files is in a flush that is under way.
func (r *reclaimRequest) flights(c *wire.Codec) {
	var list []int
	for n := range r.files {
		if r.files[n].InFlight {
			list = append(list, n)
		}
	}
	wire.Slice(c, &list, maxOpens, func(c *wire.Codec, n *int) {
		at := uint64(*n)
		wire.Uint(c, &at)
		if at >= uint64(len(r.files)) {
			c.Failf("file %d of %d", at, len(r.files))
			return
		}
		f := &r.files[at]
		f.InFlight = true
		wire.Uint(c, &f.Next)
		wire.Time(c, &f.NextCtime)
	})
}

func grantFields(c *wire.Codec, g *meta.Grant) {
	wire.Uint(c, &g.Term)
	if g.Term != 0 {
		wire.Uint(c, &g.Epoch)
		wire.Slice(c, &g.Except, maxOpens, openFile)
	}
}

// answer is what every method answers: a body, or an error and perhaps who leads.
type answer struct {
	failed bool
	kind   honeyant.Kind
	object string
	text   string
	leader honeyant.NodeID // a hint, with NotLeader; 0: none
	body   []byte
	grant  meta.Grant // of leases, also with a failure
}

func (a *answer) fields(c *wire.Codec) {
	c.Bool(&a.failed)
	grantFields(c, &a.grant)
	if !a.failed {
		c.View(&a.body, maxOp)
		return
	}
	wire.Uint(c, &a.kind)
	c.String(&a.object, 1<<12)
	c.String(&a.text, 1<<12)
	wire.Uint(c, &a.leader)
}

// failure makes the answer to a call that failed.
func failure(err error, hint func() (honeyant.NodeID, bool)) answer {
	a := answer{failed: true, kind: honeyant.KindOf(err), text: cut(err.Error())}
	var e *honeyant.Error
	if errors.As(err, &e) {
		a.object = cut(e.Object)
		if e.Err != nil {
			a.text = cut(e.Err.Error())
		} else {
			a.text = ""
		}
	}
	if a.kind == honeyant.NotLeader && hint != nil {
		if id, ok := hint(); ok {
			a.leader = id
		}
	}
	return a
}

func cut(s string) string { return s[:min(len(s), 1<<10)] }

// err is the error that a failed answer tells.
func (a *answer) err(op string, node honeyant.NodeID) error {
	e := &honeyant.Error{Op: op, Kind: a.kind, Object: a.object, Node: node}
	if a.text != "" {
		e.Err = errors.New(a.text)
	}
	if e.Kind == honeyant.Other {
		e.Err = fmt.Errorf("%s", a.text)
	}
	return e
}
