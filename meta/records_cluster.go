package meta

import (
	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// version writes or checks the version that a record begins with.
func version(c *wire.Codec, record string) {
	v := uint8(1)
	wire.Uint(c, &v)
	if v != 1 {
		c.Failf("%s record version %d", record, v)
	}
}

// volumeRecord is a volume.
type volumeRecord struct {
	Name   string
	Policy honeyant.Policy // the default of the volume
}

func (r *volumeRecord) fields(c *wire.Codec) {
	version(c, "volume")
	c.String(&r.Name, 255)
	wire.Policy(c, &r.Policy)
}

// usageRecord counts what a volume holds; each change of it is in the batch of its cause.
type usageRecord struct {
	StatFS StatFSReply
	Counts CountsReply // without Chunks, which StatFS has
}

func (r *usageRecord) fields(c *wire.Codec) {
	version(c, "usage")
	r.StatFS.Fields(c)
	r.Counts.Fields(c)
}

// sessionRecord is a session that is not over. A session without a record is dead for ever.
type sessionRecord struct {
	Node honeyant.NodeID
	Name string
	Dead bool // it is over, but has too many locks to drop in one step
}

func (r *sessionRecord) fields(c *wire.Codec) {
	version(c, "session")
	wire.Uint(c, &r.Node)
	c.String(&r.Name, 300)
	c.Bool(&r.Dead)
}

// slotRecord is the last change that ran in a slot of a session, with its answer (M4).
type slotRecord struct {
	Seq      uint64
	Code     Code
	Kind     honeyant.Kind // of an error that was answered; Text then says more
	Failed   bool
	Text     string
	Reply    []byte
	LowWater uint64 // highest of the slot's commits so far (rule 10)
}

func (r *slotRecord) fields(c *wire.Codec) {
	version(c, "slot")
	wire.Uint(c, &r.Seq)
	wire.Uint(c, &r.Code)
	c.Bool(&r.Failed)
	wire.Uint(c, &r.Kind)
	c.String(&r.Text, MaxStoredReply)
	c.Bytes(&r.Reply, MaxStoredReply)
	wire.Uint(c, &r.LowWater)
}

// nodeRecord is a node. Removed ones stay, so that they are refused for ever (rule 33).
type nodeRecord struct {
	Node      honeyant.Node
	PublicKey []byte
}

func (r *nodeRecord) fields(c *wire.Codec) {
	version(c, "node")
	wire.Node(c, &r.Node)
	c.Bytes(&r.PublicKey, 4096)
}

// storeRecord is a store. Removed ones stay while chunks name them, and after that too: they are few.
type storeRecord struct {
	Store honeyant.Store
	Key   string
}

func (r *storeRecord) fields(c *wire.Codec) {
	version(c, "store")
	wire.Store(c, &r.Store)
	c.String(&r.Key, 64)
}

// intentRecord says that a replica of a chunk is being made in a store (rule 12).
type intentRecord struct{ Intent uint64 }

func (r *intentRecord) fields(c *wire.Codec) {
	version(c, "intent")
	wire.Uint(c, &r.Intent)
}

// appliedRecord is how far the log has been applied (M1, M3).
type appliedRecord struct {
	Index uint64 // of the last log entry
	Term  uint64 // its term
	Epoch uint64 // log index of the epoch-open in force
	Seq   uint64 // last batch of that epoch
}

func (r *appliedRecord) fields(c *wire.Codec) {
	version(c, "applied")
	wire.Uint(c, &r.Index)
	wire.Uint(c, &r.Term)
	wire.Uint(c, &r.Epoch)
	wire.Uint(c, &r.Seq)
}
