package meta_test

import (
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
	"github.com/honeyant/honeyant/meta"
)

// bare evaluates operations over a database in memory without a leader.
type bare struct {
	t   *testing.T
	db  kv.DB
	env meta.Env
}

// newBare is a cluster of n nodes with a store each, of the same numbers, and an empty file.
func newBare(t *testing.T, n int) (*bare, honeyant.Ino) {
	b := &bare{t: t, db: kvtest.NewMem(), env: meta.Env{Now: honeyant.Time{Sec: 1000}, Incarnation: 1, Epoch: 7}}
	b.ok(&meta.Bootstrap{Cluster: "x"})
	hash := make([]byte, 32)
	b.ok(&meta.AddNode{Name: "first", PublicKey: []byte{1}})
	b.ok(&meta.AddStore{Node: 1, Key: "a", Capacity: 1 << 30})
	for i := 2; i <= n; i++ {
		b.ok(&meta.AddToken{Token: meta.Token{Hash: hash, Name: "t", Left: 1}})
		b.ok(&meta.AddNode{Name: "more", TokenHash: hash, PublicKey: []byte{byte(i)}})
		b.ok(&meta.AddStore{Node: honeyant.NodeID(i), Key: string(rune('a' + i)), Capacity: 1 << 30})
	}
	ino := b.ok(create("file")).(*meta.EntryReply).Attr.Ino
	return b, ino
}

func (b *bare) do(op meta.Op) (meta.Reply, error) {
	reply, changes, err := meta.Eval(b.db, b.env, op)
	if err != nil {
		return nil, err
	}
	return reply, b.db.Apply(changes)
}

func (b *bare) ok(op meta.Op) meta.Reply {
	b.t.Helper()
	r, err := b.do(op)
	if err != nil {
		b.t.Fatalf("%v: %v", op.Code(), err)
	}
	return r
}

func (b *bare) fails(k honeyant.Kind, op meta.Op) {
	b.t.Helper()
	_, err := b.do(op)
	wantKind(b.t, err, k)
}

var sum = honeyant.ChunkSum{Length: 100, CRC: 1}

func rep(s int, g int) honeyant.Replica {
	return honeyant.Replica{Store: honeyant.StoreID(s), Generation: honeyant.Generation(g)}
}

func (b *bare) write(ino honeyant.Ino, n uint64, replicas ...honeyant.Replica) (honeyant.ChunkID, *meta.Commit) {
	id := honeyant.NewChunkID(1, 0, n)
	return id, &meta.Commit{Volume: 1, Ino: ino,
		Chunks:  []honeyant.ChunkRef{{ID: id, Sum: sum, Replicas: replicas}},
		Extents: []honeyant.Extent{{Offset: 100 * n, Length: 100, Chunk: id}}}
}

func (b *bare) chunk(id honeyant.ChunkID) *meta.ChunkReply {
	b.t.Helper()
	return b.ok(&meta.GetChunk{Volume: 1, Chunk: id}).(*meta.ChunkReply)
}

func (b *bare) short() int {
	return len(b.ok(&meta.ListChunks{Volume: 1, Short: true}).(*meta.ChunksReply).Chunks)
}

// Rule 32.
func TestCopiesAtCommit(t *testing.T) {
	b, ino := newBare(t, 3)
	_, c := b.write(ino, 1, rep(1, 1))
	b.fails(honeyant.Conflict, c) // three nodes: two copies at least
	id, c := b.write(ino, 1, rep(1, 1), rep(2, 5))
	b.ok(c)
	b.ok(c) // again: the same chunk, the same extent
	if r := b.chunk(id); r.Chunk.Count != 1 || r.Dead || b.short() != 0 {
		t.Fatal(r)
	}
	c.Chunks[0].Sum.CRC++
	b.fails(honeyant.Corrupt, c)
	two, ino2 := newBare(t, 2)
	_, c = two.write(ino2, 1, rep(2, 1))
	two.ok(c)
	if two.short() != 1 {
		t.Fatal("one copy of two must be short")
	}
	counts := two.ok(&meta.Counts{Volume: 1}).(*meta.CountsReply)
	if counts.Short != 1 || counts.Chunks != 1 {
		t.Fatal(counts)
	}
}

// Rules 5, 12: intents and drops, with late and repeated messages.
func TestHealAndDrop(t *testing.T) {
	b, ino := newBare(t, 4)
	id, c := b.write(ino, 1, rep(1, 1), rep(2, 1))
	b.ok(c)
	b.fails(honeyant.Conflict, &meta.HealBegin{Volume: 1, Chunk: id, Store: 2})
	b.fails(honeyant.Conflict, &meta.HealBegin{Volume: 1, Chunk: id, Store: 9})
	b.ok(&meta.ReportBad{Volume: 1, Chunk: id, Replica: rep(2, 1)})
	if b.short() != 1 {
		t.Fatal("a bad replica counts")
	}
	in := b.ok(&meta.HealBegin{Volume: 1, Chunk: id, Store: 3}).(*meta.HealReply).Intent
	b.fails(honeyant.Conflict, &meta.HealBegin{Volume: 1, Chunk: id, Store: 3})
	end := &meta.HealEnd{Volume: 1, Chunk: id, Store: 3, Intent: in, Generation: 9, Sum: sum}
	wrong := *end
	wrong.Sum.CRC++
	b.fails(honeyant.Corrupt, &wrong)
	old := *end
	old.Intent--
	b.fails(honeyant.Stale, &old)
	b.ok(end)
	b.ok(end) // repeated
	if b.short() != 0 || len(b.chunk(id).Chunk.Replicas) != 3 {
		t.Fatal(b.chunk(id))
	}
	drop := &meta.DropBegin{Volume: 1, Chunk: id, Replica: rep(2, 1), Verified: []honeyant.Replica{rep(1, 1), rep(3, 9)}}
	few := *drop
	few.Verified = few.Verified[:1]
	b.fails(honeyant.Conflict, &few)
	stale := *drop
	stale.Verified = []honeyant.Replica{rep(1, 1), rep(3, 8)} // another generation
	b.fails(honeyant.Conflict, &stale)
	b.env.StoreUp = func(s honeyant.StoreID) bool { return s != 3 }
	b.fails(honeyant.Conflict, drop)
	b.env.StoreUp = nil
	b.fails(honeyant.Conflict, &meta.DropEnd{Volume: 1, Chunk: id, Replica: rep(2, 1)}) // not begun: a late one
	b.ok(drop)
	b.ok(drop)
	b.fails(honeyant.Conflict, &meta.DropBegin{Volume: 1, Chunk: id, Replica: rep(1, 1), Verified: drop.Verified})
	b.fails(honeyant.Conflict, &meta.HealBegin{Volume: 1, Chunk: id, Store: 2})
	b.ok(&meta.DropEnd{Volume: 1, Chunk: id, Replica: rep(2, 1)})
	b.ok(&meta.DropEnd{Volume: 1, Chunk: id, Replica: rep(2, 1)})
	// The store may be a target again, and the old generation is none of the new one's business.
	in = b.ok(&meta.HealBegin{Volume: 1, Chunk: id, Store: 2}).(*meta.HealReply).Intent
	b.ok(&meta.HealEnd{Volume: 1, Chunk: id, Store: 2, Intent: in, Generation: 2, Sum: sum})
	b.ok(&meta.DropEnd{Volume: 1, Chunk: id, Replica: rep(2, 1)})
	if n := len(b.chunk(id).Chunk.Replicas); n != 3 {
		t.Fatalf("%d replicas", n)
	}
	b.fails(honeyant.NotExist, &meta.DropBegin{Volume: 1, Chunk: id, Replica: rep(2, 1), Verified: drop.Verified})
}

// With no third place a bad copy may go as soon as one good copy is verified, never without.
func TestBadCopyInTheWay(t *testing.T) {
	b, ino := newBare(t, 2)
	id, c := b.write(ino, 1, rep(1, 1), rep(2, 1))
	b.ok(c)
	b.fails(honeyant.Conflict, &meta.DropBegin{Volume: 1, Chunk: id, Replica: rep(2, 1), Verified: []honeyant.Replica{rep(1, 1)}})
	b.ok(&meta.ReportBad{Volume: 1, Chunk: id, Replica: rep(2, 1)})
	b.fails(honeyant.Conflict, &meta.DropBegin{Volume: 1, Chunk: id, Replica: rep(2, 1)})
	b.ok(&meta.DropBegin{Volume: 1, Chunk: id, Replica: rep(2, 1), Verified: []honeyant.Replica{rep(1, 1)}})
}

// Rules 10, 12, 25: a dead chunk stays dead, takes no copy, and is forgotten only when all its replicas are deleted.
func TestDeadChunks(t *testing.T) {
	b, ino := newBare(t, 3)
	id, c := b.write(ino, 1, rep(1, 1), rep(2, 1))
	b.ok(c)
	in := b.ok(&meta.HealBegin{Volume: 1, Chunk: id, Store: 3}).(*meta.HealReply).Intent
	b.fails(honeyant.Conflict, &meta.ForgetChunk{Volume: 1, Chunk: id, Deleted: []honeyant.Replica{rep(1, 1), rep(2, 1)}})
	b.ok(&meta.Punch{Volume: 1, Ino: ino, Offset: 0, Length: 1000, KeepSize: true})
	if r := b.chunk(id); !r.Dead || len(r.Intents) != 1 {
		t.Fatal(r)
	}
	b.fails(honeyant.Stale, c)
	b.fails(honeyant.Stale, &meta.HealEnd{Volume: 1, Chunk: id, Store: 3, Intent: in, Generation: 1, Sum: sum})
	b.fails(honeyant.Conflict, &meta.HealBegin{Volume: 1, Chunk: id, Store: 3})
	b.fails(honeyant.Conflict, &meta.ForgetChunk{Volume: 1, Chunk: id, Deleted: []honeyant.Replica{rep(1, 1)}})
	b.fails(honeyant.Conflict, &meta.ForgetChunk{Volume: 1, Chunk: id, Deleted: []honeyant.Replica{rep(1, 1), rep(2, 2)}})
	forget := &meta.ForgetChunk{Volume: 1, Chunk: id, Deleted: []honeyant.Replica{rep(1, 1), rep(2, 1)}}
	b.ok(forget)
	b.ok(forget)
	b.fails(honeyant.NotExist, &meta.GetChunk{Volume: 1, Chunk: id})
	if l := b.ok(&meta.ListIntents{Volume: 1}).(*meta.IntentsReply); len(l.Intents) != 0 || !l.EOF {
		t.Fatal(l)
	}
	if c := b.ok(&meta.Counts{Volume: 1}).(*meta.CountsReply); c.Dead != 0 || c.Short != 0 || c.Chunks != 0 {
		t.Fatal(c)
	}
	b.fails(honeyant.Stale, &meta.HealEnd{Volume: 1, Chunk: id, Store: 3, Intent: in, Generation: 1, Sum: sum})
}

// Rule 33; removal makes chunks short, and the last copy is not given away without force.
func TestRemoveNode(t *testing.T) {
	b, ino := newBare(t, 3)
	id, c := b.write(ino, 1, rep(1, 1), rep(2, 1))
	b.ok(c)
	id2, c := b.write(ino, 2, rep(3, 1), rep(2, 1))
	b.ok(c)
	s := b.ok(&meta.OpenSession{Node: 2}).(*meta.SessionReply).Session
	b.ok(&meta.HealBegin{Volume: 1, Chunk: id2, Store: 1})
	b.ok(&meta.ReportBad{Volume: 1, Chunk: id, Replica: rep(1, 1)})
	b.fails(honeyant.Conflict, &meta.RemoveNode{ID: 2})
	b.ok(&meta.ReportBad{Volume: 1, Chunk: id, Replica: rep(1, 1), Good: true})
	b.ok(&meta.RemoveNode{ID: 2})
	b.ok(&meta.RemoveNode{ID: 2})
	b.fails(honeyant.NotPermitted, &meta.OpenSession{Node: 2})
	b.fails(honeyant.NotPermitted, &meta.AddNode{Name: "again", PublicKey: []byte{2}})
	b.fails(honeyant.NotExist, &meta.UpdateNode{Node: honeyant.Node{ID: 2, Name: "x"}, Set: meta.SetNodeName})
	if l := b.ok(&meta.ListSessions{}).(*meta.SessionsReply); len(l.Sessions) != 1 || l.Sessions[0].ID != s || !l.Sessions[0].Dead {
		t.Fatal(l)
	}
	ext := b.ok(&meta.Extents{Volume: 1, Ino: ino, Length: 1 << 20}).(*meta.ExtentsReply)
	for _, c := range ext.Chunks {
		if len(c.Replicas) != 1 || c.Replicas[0].Store == 2 {
			t.Fatal(c)
		}
	}
	sweep := b.ok(&meta.SweepChunks{Volume: 1, Limit: 1}).(*meta.SweepReply)
	if sweep.EOF || sweep.Removed != 1 {
		t.Fatal(sweep)
	}
	sweep = b.ok(&meta.SweepChunks{Volume: 1, After: sweep.Last}).(*meta.SweepReply)
	if !sweep.EOF || sweep.Removed != 1 || b.short() != 2 {
		t.Fatal(sweep, b.short())
	}
	list := b.ok(&meta.ListChunks{Volume: 1}).(*meta.ChunksReply)
	if list.Nodes != 2 || len(list.Chunks) != 2 || len(list.Chunks[0].Replicas) != 1 {
		t.Fatal(list)
	}
	m := b.ok(&meta.ListNodes{}).(*meta.MapReply).Map
	if m.Cluster != "x" || m.Incarnation != 1 || m.Epoch != 7 || len(m.Nodes) != 3 || m.Nodes[1].State != honeyant.NodeRemoved || m.Stores[1].State != honeyant.StoreRemoved {
		t.Fatalf("%+v", m)
	}
	faults, err := meta.Check(b.db)
	if err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
}

func TestTokens(t *testing.T) {
	b, _ := newBare(t, 1)
	hash, other := make([]byte, 32), make([]byte, 32)
	hash[0], other[0] = 1, 2
	b.ok(&meta.AddToken{Token: meta.Token{Hash: hash, Name: "ab", Left: 2, Expires: honeyant.Time{Sec: 2000}}})
	b.fails(honeyant.NotPermitted, &meta.AddNode{Name: "x", PublicKey: []byte("x")})
	b.fails(honeyant.NotPermitted, &meta.AddNode{Name: "x", PublicKey: []byte("x"), TokenHash: other})
	first := b.ok(&meta.AddNode{Name: "x", PublicKey: []byte("x"), TokenHash: hash}).(*meta.NodeReply)
	again := b.ok(&meta.AddNode{Name: "x", PublicKey: []byte("x"), TokenHash: hash}).(*meta.NodeReply)
	if *first != *again {
		t.Fatal("a retry got another ID")
	}
	if l := b.ok(&meta.ListTokens{}).(*meta.TokensReply).Tokens; len(l) != 1 || l[0].Left != 1 {
		t.Fatal(l)
	}
	b.env.Now.Sec = 2000
	b.fails(honeyant.NotPermitted, &meta.AddNode{Name: "y", PublicKey: []byte("y"), TokenHash: hash})
	b.env.Now.Sec = 1999
	b.ok(&meta.AddNode{Name: "y", PublicKey: []byte("y"), TokenHash: hash})
	b.fails(honeyant.NotPermitted, &meta.AddNode{Name: "z", PublicKey: []byte("z"), TokenHash: hash})
	b.fails(honeyant.NotExist, &meta.RevokeToken{Name: "ab"})
	b.ok(&meta.AddToken{Token: meta.Token{Hash: other, Name: "cd", Left: 1}})
	b.ok(&meta.RevokeToken{Name: "cd"})
	b.fails(honeyant.NotExist, &meta.RevokeToken{Hash: other})
}

func TestSettings(t *testing.T) {
	b, _ := newBare(t, 1)
	get := func() string { return string(b.ok(&meta.GetSetting{Name: "a"}).(*meta.SettingReply).Value) }
	b.ok(&meta.PutSetting{Name: "a", Value: []byte("1"), Compare: true})
	b.fails(honeyant.Conflict, &meta.PutSetting{Name: "a", Value: []byte("2"), Compare: true, Expect: []byte("3")})
	b.ok(&meta.PutSetting{Name: "a", Value: []byte("2"), Compare: true, Expect: []byte("1")})
	if get() != "2" {
		t.Fatal(get())
	}
	b.ok(&meta.PutSetting{Name: "a"})
	if get() != "" {
		t.Fatal(get())
	}
	b.fails(honeyant.NotPermitted, &meta.PutSetting{Name: meta.SettingCluster, Value: []byte("y")})
	b.fails(honeyant.Exist, &meta.Bootstrap{Cluster: "y"})
}

// Any member could set the feature level to anything, and no node started again.
func TestFeatureLevelOnlyRisesToWhatIsKnown(t *testing.T) {
	b, _ := newBare(t, 1)
	for _, level := range []string{"", "0", "2", "4294967295", "99999999999", "-1", "1 ", "01", "+1", "one", "\x00"} {
		b.fails(honeyant.Invalid, &meta.PutSetting{Name: meta.SettingFeatureLevel, Value: []byte(level)})
	}
	b.ok(&meta.PutSetting{Name: meta.SettingFeatureLevel, Value: []byte("1")})
	if level := b.ok(&meta.ListNodes{}).(*meta.MapReply).Map.FeatureLevel; level != 1 {
		t.Errorf("the level is %d", level)
	}
}
