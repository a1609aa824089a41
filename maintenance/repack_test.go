package maintenance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/maintenance"
	"github.com/honeyant/honeyant/meta"
)

// content is a maintenance.Data over the stores of a rig: the bytes of chunks, and of the files that use them.
type content struct {
	r     *rig
	rng   *rand.Rand
	mu    sync.Mutex // guards chunks
	bytes map[honeyant.ChunkID][]byte
	files map[string][]byte // what each must hold
}

func newContent(r *rig, seed uint64) *content {
	c := &content{r: r, rng: rand.New(rand.NewPCG(seed, 3)), bytes: map[honeyant.ChunkID][]byte{}, files: map[string][]byte{}}
	r.o.Data = c
	return c
}

func (c *content) Read(_ context.Context, ref honeyant.ChunkRef, p []byte, off uint32) error {
	for _, rep := range ref.Replicas {
		if err := c.r.stores.enter("read", rep.Store, ref.ID); err != nil {
			return err
		}
		if c.r.stores.good(rep.Store, ref.ID, rep.Generation) {
			c.mu.Lock()
			defer c.mu.Unlock()
			copy(p, c.bytes[ref.ID][off:])
			return nil
		}
	}
	return honeyant.E("test.read", honeyant.Stale, ref.ID.String(), nil)
}

func (c *content) Write(_ context.Context, id honeyant.ChunkID, data []byte, targets []honeyant.StoreID,
	_ func([]honeyant.StoreID) (honeyant.StoreID, bool)) (honeyant.ChunkRef, error) {
	return c.put(id, data, targets)
}

func (c *content) put(id honeyant.ChunkID, data []byte, targets []honeyant.StoreID) (honeyant.ChunkRef, error) {
	ref := honeyant.ChunkRef{ID: id, Sum: honeyant.ChunkSum{Length: uint32(len(data)), CRC: crc32.ChecksumIEEE(data)}}
	c.mu.Lock()
	c.bytes[id] = bytes.Clone(data)
	c.mu.Unlock()
	c.r.stores.mu.Lock()
	c.r.stores.sums[id] = ref.Sum
	c.r.stores.mu.Unlock()
	for _, s := range targets {
		if c.r.stores.enter("write", s, id) == nil {
			ref.Replicas = append(ref.Replicas, honeyant.Replica{Store: s, Generation: c.r.stores.put(s, id)})
		}
	}
	if len(ref.Replicas) == 0 {
		return ref, honeyant.E("test.write", honeyant.Unavailable, id.String(), nil)
	}
	return ref, nil
}

const fileSize = 10 << 10

// pack makes n files that share a chunk.
func (c *content) pack(name string, n int) honeyant.ChunkID {
	c.r.t.Helper()
	c.r.next++
	id := honeyant.NewChunkID(1, 0, c.r.next)
	data := c.random(n * fileSize)
	ref, err := c.put(id, data, []honeyant.StoreID{1, 2})
	if err != nil {
		c.r.t.Fatal(err)
	}
	for i := range n {
		file := fmt.Sprintf("%s%d", name, i)
		ino := c.r.ok(&meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: file, Mode: honeyant.ModeFile | 0o644}).(*meta.EntryReply).Attr.Ino
		c.r.ok(&meta.Commit{Volume: 1, Ino: ino, Chunks: []honeyant.ChunkRef{ref}, Extents: []honeyant.Extent{{Length: fileSize, Chunk: id, ChunkOffset: uint32(i * fileSize)}}})
		c.files[file] = bytes.Clone(data[i*fileSize : (i+1)*fileSize])
	}
	return id
}

func (c *content) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	return b
}

func (c *content) ino(file string) honeyant.Ino {
	c.r.t.Helper()
	return c.r.ok(&meta.Lookup{Volume: 1, Parent: honeyant.RootIno, Name: file}).(*meta.EntryReply).Attr.Ino
}

func (c *content) unlink(file string) {
	c.r.t.Helper()
	c.r.ok(&meta.Unlink{Volume: 1, Parent: honeyant.RootIno, Name: file})
	delete(c.files, file)
}

// overwrite puts bytes over a part of a file, cut shortens it, clone makes another that shares all of it.
func (c *content) overwrite(file string, at, n int) {
	c.r.t.Helper()
	c.r.next++
	id, data := honeyant.NewChunkID(1, 0, c.r.next), c.random(n)
	ref, err := c.put(id, data, []honeyant.StoreID{1, 2})
	if err != nil {
		c.r.t.Fatal(err)
	}
	c.r.ok(&meta.Commit{Volume: 1, Ino: c.ino(file), Chunks: []honeyant.ChunkRef{ref}, Extents: []honeyant.Extent{{Offset: uint64(at), Length: uint32(n), Chunk: id}}})
	c.files[file] = append(c.files[file], make([]byte, max(0, at+n-len(c.files[file])))...)
	copy(c.files[file][at:], data)
}

func (c *content) cut(file string, size int) {
	c.r.t.Helper()
	c.r.ok(&meta.SetAttr{Volume: 1, Ino: c.ino(file), Valid: meta.SetSize, Size: uint64(size)})
	c.files[file] = c.files[file][:min(size, len(c.files[file]))]
	c.files[file] = append(c.files[file], make([]byte, size-len(c.files[file]))...)
}

func (c *content) clone(file, to string) {
	c.r.t.Helper()
	ino := c.r.ok(&meta.Make{Volume: 1, Parent: honeyant.RootIno, Name: to, Mode: honeyant.ModeFile | 0o644}).(*meta.EntryReply).Attr.Ino
	c.r.ok(&meta.Clone{Volume: 1, Src: c.ino(file), Dst: ino, Length: uint64(len(c.files[file]))})
	c.files[to] = bytes.Clone(c.files[file])
}

// check reads every file through its extents, as a client that has just asked would, each chunk from each store.
func (c *content) check() {
	c.r.t.Helper()
	for file, want := range c.files {
		r := c.r.ok(&meta.Extents{Volume: 1, Ino: c.ino(file), Length: 1 << 30}).(*meta.ExtentsReply)
		got := make([]byte, r.Attr.Size)
		for _, e := range r.Extents {
			i := slices.IndexFunc(r.Chunks, func(ref honeyant.ChunkRef) bool { return ref.ID == e.Chunk })
			if len(r.Chunks[i].Replicas) < 2 {
				c.r.t.Fatalf("%s: chunk %+v", file, r.Chunks[i])
			}
			for _, rep := range r.Chunks[i].Replicas {
				if !c.r.stores.good(rep.Store, e.Chunk, rep.Generation) {
					c.r.t.Fatalf("%s: store %v does not hold %v", file, rep.Store, e.Chunk)
				}
			}
			c.mu.Lock()
			copy(got[e.Offset:], c.bytes[e.Chunk][e.ChunkOffset:e.ChunkOffset+e.Length])
			c.mu.Unlock()
		}
		if !bytes.Equal(got, want) {
			c.r.t.Fatalf("%s holds something else (%d bytes, want %d)", file, len(got), len(want))
		}
	}
	synctest.Wait() // a rewrite that woke at the same moment would change tables between Check's looks at them
	faults, err := meta.Check(c.r.log.DBs[0])
	if err != nil || len(faults) > 0 {
		c.r.t.Fatal(faults, err)
	}
}

func (r *rig) packs() maintenance.PackState { return r.jobs.State().Packs }

func (r *rig) sparse() int {
	r.t.Helper()
	return len(r.ok(&meta.ListChunks{Volume: 1, Sparse: true}).(*meta.ChunksReply).Chunks)
}

// Rule 13: mostly dead packs are rewritten together after SparseDelay, and the space of the old ones comes back.
func TestRepack(t *testing.T) {
	run(t, 3, func(r *rig) {
		c := newContent(r, 1)
		var old []honeyant.ChunkID
		for n := range 5 {
			name := fmt.Sprintf("p%d-", n)
			old = append(old, c.pack(name, 40))
			for i := range 40 {
				if i%5 != 0 {
					c.unlink(fmt.Sprintf("%s%d", name, i))
				}
			}
		}
		full := c.pack("full", 40) // not sparse: nothing of it is touched
		for i := range 19 {
			c.unlink(fmt.Sprintf("full%d", i))
		}
		c.clone("p1-0", "clone")
		c.check()
		r.start()
		<-time.After(4 * time.Minute)
		if st := r.packs(); st.Sparse != 5 || st.SparseBytes != 5*32*fileSize-fileSize || st.Rewritten != 0 {
			t.Errorf("before its time: %+v", st)
		}
		r.eventually("rewritten", 2*time.Minute, func() bool { return r.packs().Rewritten == 5 })
		c.check()
		if st := r.packs(); st.Freed != 5*32*fileSize || st.Stuck != "" {
			t.Errorf("%+v", st)
		}
		r.eventually("old packs deleted", 3*time.Minute, func() bool { return r.dead() == 0 })
		for _, id := range old {
			if r.stores.has(1, id) || r.stores.has(2, id) {
				t.Errorf("%v is still there", id)
			}
		}
		if len(r.on(full)) != 2 || r.sparse() != 0 {
			t.Error("a pack that is more than half used was touched")
		}
		if alive := r.ok(&meta.Counts{Volume: 1}).(*meta.CountsReply).Chunks; alive != 2 {
			t.Errorf("%d chunks, want one new pack and the full one", alive)
		}
		c.check()
	})
}

// What a session may still commit to stays; so does a chunk for which there is no room, or of which no copy can be read.
func TestRepackWaits(t *testing.T) {
	run(t, 2, func(r *rig) {
		c := newContent(r, 2)
		c.pack("a", 10)
		for i := range 8 {
			c.unlink(fmt.Sprintf("a%d", i))
		}
		r.set(2, honeyant.NodeDown)
		r.start()
		r.eventually("no second machine", 10*time.Minute, func() bool { return r.packs().Stuck != "" })
		c.check()
		r.set(2, honeyant.NodeUp)
		r.eventually("rewritten", 2*time.Hour, func() bool { return r.packs().Rewritten == 1 })
		if st := r.packs(); st.Stuck != "" {
			t.Errorf("%+v", st)
		}
		c.check()

		live := r.ok(&meta.OpenSession{Node: 1, Name: "mount"}).(*meta.SessionReply).Session
		id := honeyant.NewChunkID(1, live, 7)
		ref, _ := c.put(id, c.random(10*fileSize), []honeyant.StoreID{1, 2})
		commit := func(seq uint64, extent honeyant.Extent, lowWater uint64) error {
			_, err := r.leader.Do(context.Background(), meta.Call{Session: live, Slot: 1, Seq: seq, Op: &meta.Commit{Volume: 1, Ino: r.ino,
				Chunks: []honeyant.ChunkRef{ref}, Extents: []honeyant.Extent{extent}, LowWater: lowWater}})
			return err
		}
		if err := commit(1, honeyant.Extent{Length: fileSize, Chunk: id}, 7); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if r.sparse() != 1 {
			t.Fatal("rewritten although its writer may add to it")
		}
		if err := commit(2, honeyant.Extent{Offset: fileSize, Length: fileSize, Chunk: id, ChunkOffset: fileSize}, 8); err != nil {
			t.Fatal(err)
		}
		r.eventually("rewritten", time.Hour, func() bool { return r.sparse() == 0 })
	})
}

// A crash at any step of a rewrite, before it is done or before its answer is heard, loses nothing, leaves metadata
// sound, and the next leader does the rewrite.
func TestRepackCrash(t *testing.T) {
	last := false
	for cut := 2; ; cut++ {
		t.Run(fmt.Sprintf("step=%d,done=%t", cut/2, cut%2 == 0), func(t *testing.T) {
			run(t, 3, func(r *rig) {
				c := newContent(r, uint64(cut))
				for n := range 3 {
					name := fmt.Sprintf("p%d-", n)
					c.pack(name, 10)
					for i := range 7 {
						c.unlink(fmt.Sprintf("%s%d", name, i))
					}
				}
				r.o.SparseDelay = time.Minute
				crash := &crashing{Doer: r.o.Meta, left: cut / 2, done: cut%2 == 0, dead: make(chan struct{})}
				whole := r.o
				r.o.Meta = crash
				r.stores.setHook(func(op string, _ honeyant.StoreID, _ honeyant.ChunkID) error {
					if op == "delete" {
						return nil // that is reclaim's
					}
					return crash.step(func() error { return nil })
				})
				r.start()
				select {
				case <-crash.dead:
				case <-time.After(10 * time.Minute):
					last = true // the rewrite has fewer steps
				}
				r.stop()
				r.stores.setHook(nil)
				c.check()
				r.o = whole
				r.start()
				r.eventually("rewritten", 10*time.Minute, func() bool { return r.sparse() == 0 })
				c.check()
				r.eventually("reclaimed", 10*time.Minute, func() bool { return r.dead() == 0 })
				c.check()
			})
		})
		if t.Failed() {
			return
		}
		if last {
			t.Logf("%d steps, each cut", cut/2-1)
			if cut < 20 {
				t.Error("the rewrite was not cut")
			}
			return
		}
	}
}

// crashing is a metadata leader that is not heard of any more after some steps of a rewrite: the fatal one is done or
// not, and nothing after it is.
type crashing struct {
	meta.Doer
	mu   sync.Mutex // guards left
	left int
	done bool // the fatal step is carried out, but nobody hears of it
	dead chan struct{}
}

var errCrash = errors.New("the machine has stopped")

func (d *crashing) step(do func() error) error {
	d.mu.Lock()
	d.left--
	left := d.left
	if left == 0 {
		close(d.dead)
	}
	d.mu.Unlock()
	switch {
	case left > 0:
		return do()
	case left == 0 && d.done:
		_ = do()
	}
	return errCrash
}

func (d *crashing) Do(ctx context.Context, op meta.Op) (reply meta.Reply, err error) {
	switch op.(type) {
	case *meta.Repack, *meta.FindExtents, *meta.OpenSession, *meta.CloseSession:
		err = d.step(func() (err error) {
			reply, err = d.Doer.Do(ctx, op)
			return err
		})
		if err != nil {
			reply = nil
		}
		return reply, err
	}
	return d.Doer.Do(ctx, op)
}

// Writers who overwrite, cut, delete and clone files between any two steps of rewrites find what they wrote.
func TestRepackRace(t *testing.T) {
	changes, moved, skipped := 0, 0, 0
	for seed := range uint64(6) {
		run(t, 3, func(r *rig) {
			c := newContent(r, seed)
			for n := range 4 {
				c.pack(fmt.Sprintf("p%d-", n), 20)
			}
			for n := range 4 {
				for i := range 11 {
					c.unlink(fmt.Sprintf("p%d-%d", n, i))
				}
			}
			r.o.SparseDelay = 30 * time.Second
			changes = 0
			busy := make(chan struct{}, 1) // one change at a time; what a change does changes nothing more
			change := func(least int) {
				select {
				case busy <- struct{}{}:
					defer func() { <-busy }()
				default:
					return
				}
				for range least + c.rng.IntN(4) {
					if names := slices.Sorted(maps.Keys(c.files)); len(names) > 0 && (changes < 150 || least > 0) {
						changes++
						c.changeOne(names[c.rng.IntN(len(names))], changes)
					}
				}
			}
			r.o.Meta = before{r.o.Meta, change, func(op *meta.Repack, reply *meta.RepackReply) {
				moved += int(reply.Moved)
				skipped += len(op.Moves) - int(reply.Moved)
			}}
			r.stores.setHook(func(op string, _ honeyant.StoreID, _ honeyant.ChunkID) error {
				if op == "read" || op == "verify" {
					change(0)
				}
				return nil
			})
			r.start()
			for range 40 {
				<-time.After(37 * time.Second) // not when the rewrites wake: during a look nothing is changed
				busy <- struct{}{}
				c.check()
				<-busy
			}
		})
	}
	if t.Logf("%d extents moved, %d had changed", moved, skipped); moved == 0 || skipped == 0 {
		t.Error("nothing came between")
	}
}

// changeOne makes one random change of a file.
func (c *content) changeOne(name string, n int) {
	switch size := len(c.files[name]); c.rng.IntN(5) {
	case 0:
		c.unlink(name)
	case 1:
		c.cut(name, c.rng.IntN(size+1))
	case 2:
		c.clone(name, fmt.Sprintf("clone%d", n))
	default:
		c.overwrite(name, c.rng.IntN(size+1), 1+c.rng.IntN(3000))
	}
}

// before calls change before and after each step of a rewrite.
type before struct {
	meta.Doer
	change func(least int)
	told   func(*meta.Repack, *meta.RepackReply)
}

func (d before) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	switch op.(type) {
	case *meta.Repack:
		d.change(3) // of files that it has found and read
		defer d.change(0)
	case *meta.FindExtents:
		d.change(0)
		defer d.change(0)
	}
	reply, err := d.Doer.Do(ctx, op)
	if o, ok := op.(*meta.Repack); ok && err == nil {
		d.told(o, reply.(*meta.RepackReply))
	}
	return reply, err
}
