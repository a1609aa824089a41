package cluster

import (
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Methods of rpc.ProtoControl. From MethodFree on they belong to others, who bring their
// handlers by AgentOptions.Methods.
const (
	MethodBeat  rpc.Method = iota + 1 // node to leader: heartbeat
	MethodMap                         // leader to node: a newer map
	MethodJoin                        // member to leader: a machine that joins there
	MethodRenew                       // node to leader: another certificate for the same node

	MethodFree rpc.Method = 64
)

// Limits of what the messages carry.
const (
	mostStores = 4096     // of one node
	mostDER    = 16 << 10 // bytes of a certificate or signing request
)

// StoreUsage is a store as its node sees it. Sizes are in bytes.
type StoreUsage struct {
	ID        honeyant.StoreID
	Capacity  int64
	Used      int64
	Available int64
	Failing   bool
}

func (u *StoreUsage) fields(c *wire.Codec) {
	wire.Uint(c, &u.ID)
	wire.Int(c, &u.Capacity)
	wire.Int(c, &u.Used)
	wire.Int(c, &u.Available)
	c.Bool(&u.Failing)
}

// Report is what a node tells of itself in each heartbeat.
type Report struct {
	Version    string // of the program
	Feature    uint32 // highest feature level it can read (rule 34)
	Applied    uint64 // metadata index applied, 0 without a metadata role
	CPUs       uint32
	LoadCenti  uint32 // load average of a minute, in hundredths
	MemTotal   int64  // bytes
	MemUsed    int64
	UptimeSecs uint64 // of the daemon
	Stores     []StoreUsage
}

func (r *Report) fields(c *wire.Codec) {
	c.String(&r.Version, 100)
	wire.Uint(c, &r.Feature)
	wire.Uint(c, &r.Applied)
	wire.Uint(c, &r.CPUs)
	wire.Uint(c, &r.LoadCenti)
	wire.Int(c, &r.MemTotal)
	wire.Int(c, &r.MemUsed)
	wire.Uint(c, &r.UptimeSecs)
	wire.Slice(c, &r.Stores, mostStores, func(c *wire.Codec, u *StoreUsage) { u.fields(c) })
}

// mapMark names a map without its content.
type mapMark struct {
	Incarnation uint32
	Epoch       uint64
	Version     uint64
}

func markOf(m *honeyant.Map) mapMark {
	if m == nil {
		return mapMark{}
	}
	return mapMark{Incarnation: m.Incarnation, Epoch: m.Epoch, Version: m.Version}
}

func (k *mapMark) fields(c *wire.Codec) {
	wire.Uint(c, &k.Incarnation)
	wire.Uint(c, &k.Epoch)
	wire.Uint(c, &k.Version)
}

// beat is a heartbeat.
type beat struct {
	Known   mapMark // the map that the node has
	Address string  // where it is reached now
	Zone    string
	Refresh bool // the node knows of a change that the leader's map may lack
	Report  Report
}

func (b *beat) fields(c *wire.Codec) {
	b.Known.fields(c)
	c.String(&b.Address, 300)
	c.String(&b.Zone, 255)
	c.Bool(&b.Refresh)
	b.Report.fields(c)
}

// beatReply answers a heartbeat: by the leader with what the node lacks of the map, by
// others with who leads, as far as they know.
type beatReply struct {
	Leading  bool
	Leader   honeyant.NodeID
	AgeMilli uint64        // since the leader was last certain to lead
	Map      *honeyant.Map // nil: the node has the newest one
	Sizes    []honeyant.Store
}

func (r *beatReply) fields(c *wire.Codec) {
	c.Bool(&r.Leading)
	wire.Uint(c, &r.Leader)
	wire.Uint(c, &r.AgeMilli)
	whole := r.Map != nil
	c.Bool(&whole)
	if whole {
		if c.Decoding() {
			r.Map = new(honeyant.Map)
		}
		wire.Map(c, r.Map)
		return
	}
	wire.Slice(c, &r.Sizes, 100000, func(c *wire.Codec, s *honeyant.Store) {
		wire.Uint(c, &s.ID)
		wire.Int(c, &s.Used)
		wire.Int(c, &s.Available)
	})
}

func (r *beatReply) age() time.Duration {
	return time.Duration(min(r.AgeMilli, uint64(time.Hour/time.Millisecond))) * time.Millisecond
}

// joinRequest asks for membership.
type joinRequest struct {
	Secret []byte // of the token: who knows only its hash, as every member does, can not join with it
	CSR    []byte // DER
	Member Member
}

func (r *joinRequest) fields(c *wire.Codec) {
	c.Bytes(&r.Secret, len(Token{}.Secret))
	c.Bytes(&r.CSR, mostDER)
	c.String(&r.Member.Name, 255)
	c.String(&r.Member.Address, 300)
	c.String(&r.Member.Zone, 255)
}

// joinReply is the new member's certificate and the first map.
type joinReply struct {
	Certificate []byte // DER
	Map         honeyant.Map
}

func (r *joinReply) fields(c *wire.Codec) {
	c.Bytes(&r.Certificate, mostDER)
	wire.Map(c, &r.Map)
}
