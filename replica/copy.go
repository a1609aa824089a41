package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
)

// copyTimes is how much longer than Patience a copy may take: it reads, writes and reads back.
const copyTimes = 3

// Copy makes a replica in store to: the target pulls from a good replica of ref, commits, and
// reads back what its disk holds; on stable storage on return. Kinds: those of Read for the sources;
// NoSpace, Unavailable of the target; Corrupt if what it pulled or kept is not what ref.Sum says.
func (c *Client) Copy(ctx context.Context, ref honeyant.ChunkRef, to honeyant.StoreID) (honeyant.Generation, honeyant.ChunkSum, error) {
	fail := func(err error) (honeyant.Generation, honeyant.ChunkSum, error) {
		return 0, honeyant.ChunkSum{}, honeyant.E("replica.Copy", honeyant.Other, ref.ID.String(), err)
	}
	r := request{op: opCopy, store: to, chunk: ref.ID, ref: ref}
	if err := c.stamp(&r); err != nil {
		return fail(err)
	}
	if s, ok := c.o.Local.Store(to); ok {
		if err := admit(s, r.incarnation); err != nil {
			return fail(err)
		}
		gen, sum, err := c.pull(ctx, ref, s)
		if err != nil {
			return fail(err)
		}
		return gen, sum, nil
	}
	h, err := c.locate(to)
	if err != nil {
		return fail(err)
	}
	answer, err := c.ask(ctx, h, &r, copyTimes*c.o.Patience)
	if err != nil {
		return fail(err)
	}
	all, err := decodeOutcomes(answer, h.node)
	if err != nil {
		return fail(err)
	}
	if len(all) != 1 || all[0].err == nil && all[0].sum != ref.Sum {
		return fail(corrupt("the copy's answer"))
	}
	if all[0].err != nil {
		return fail(all[0].err)
	}
	return all[0].generation, all[0].sum, nil
}

// pull copies a chunk into a store of this process, a few frames at a time.
func (c *Client) pull(ctx context.Context, ref honeyant.ChunkRef, to ChunkStore) (honeyant.Generation, honeyant.ChunkSum, error) {
	w, err := to.Create(ref.ID, ref.Sum.Length)
	if err != nil {
		return 0, honeyant.ChunkSum{}, err
	}
	defer w.Abort()
	buf := readPool.Get().(*[readBatch]byte)
	defer readPool.Put(buf)
	for off := uint32(0); off < ref.Sum.Length; off += readBatch {
		p := buf[:min(readBatch, ref.Sum.Length-off)]
		if err := c.Read(ctx, ref, p, off); err != nil {
			return 0, honeyant.ChunkSum{}, err
		}
		if _, err := w.Write(p); err != nil {
			return 0, honeyant.ChunkSum{}, err
		}
	}
	gen, sum, err := w.Commit(ctx)
	if err != nil {
		return 0, honeyant.ChunkSum{}, err
	}
	if sum == ref.Sum {
		sum, err = to.Verify(ctx, ref.ID, gen)
	}
	if err == nil && sum != ref.Sum {
		err = honeyant.E("replica.Pull", honeyant.Corrupt, ref.ID.String(), fmt.Errorf("sum %+v instead of %+v", sum, ref.Sum))
	}
	if errors.Is(err, honeyant.Corrupt) {
		// This copy is nobody's yet: metadata does not list it.
		err = errors.Join(err, to.Delete(ctx, ref.ID, gen))
	}
	return gen, sum, err
}
