package transfer

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/honeyant/honeyant"
)

// copyName copies a name that is no directory. Only what stops the whole copy is returned.
func (j *job) copyName(ctx context.Context, n *name) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.c.tally.path.Store(&n.path)
	var first *firstName
	if n.entry.Kind == File && n.entry.Links > 1 && n.dir != nil {
		key := inode{n.entry.Dev, n.entry.Ino}
		j.mu.Lock()
		known, again := j.firsts[key]
		if again {
			j.links = append(j.links, linkName{n.dir, n.path, known})
			j.mu.Unlock()
			return nil // its directory waits for it
		}
		first = &firstName{}
		j.firsts[key] = first
		j.mu.Unlock()
	}
	if n.dir != nil {
		defer j.done(ctx, n.dir)
	}
	if err := j.copyContent(ctx, n); err != nil {
		return j.failed(n.path, err)
	}
	if first != nil {
		first.path = j.dstPath(n.path) // read when all workers have ended
	}
	j.c.tally.done.Add(1)
	return nil
}

func (j *job) copyContent(ctx context.Context, n *name) error {
	e, t := &n.entry, &j.c.tally
	if n.there != nil && n.there.Kind == Dir {
		return honeyant.E("replace", honeyant.IsDir, j.to.String(), fmt.Errorf("a %s can not replace a directory", e.Kind))
	}
	if n.there != nil && e.sameContent(n.there) {
		return j.keep(ctx, n)
	}
	if j.c.o.DryRun {
		return j.count(e)
	}
	var notes []string
	var err error
	switch {
	case e.Kind != File:
		notes, err = j.dst.special(ctx, j.dstPath(n.path), e)
	case e.Size <= partSize:
		notes, err = j.copySmall(ctx, n)
	default:
		notes, err = j.copyLarge(ctx, n)
	}
	t.note(j.show(n.path), notes)
	if err != nil {
		return err
	}
	return j.count(e)
}

func (j *job) count(e *Entry) error {
	t := &j.c.tally
	if e.Kind == File {
		t.files.Add(1)
		t.bytes.Add(e.Size)
	} else {
		t.specials.Add(1)
	}
	return nil
}

// keep leaves content that is there, and mends metadata that differ.
func (j *job) keep(ctx context.Context, n *name) error {
	t := &j.c.tally
	t.unchanged.Add(1)
	if n.entry.Kind == File {
		t.present.Add(n.entry.Size)
		t.doneBytes.Add(n.entry.Size)
	}
	if j.c.o.DryRun || n.entry.sameMeta(n.there) {
		return nil
	}
	notes, err := j.dst.seal(ctx, j.dstPath(n.path), &n.entry)
	t.note(j.show(n.path), notes)
	return err
}

var errChanged = honeyant.E("copy", honeyant.Stale, "", errors.New("it changed while it was copied: copy again when nobody writes it"))

// copySmall copies a file of one part, or finds that it has become larger.
func (j *job) copySmall(ctx context.Context, n *name) ([]string, error) {
	notes, err := j.copyWhole(ctx, n)
	if errors.Is(err, errGrown) {
		return j.copyLarge(ctx, n)
	}
	return notes, err
}

var errGrown = errors.New("the file has become larger than a part")

func (j *job) copyWhole(ctx context.Context, n *name) ([]string, error) {
	select {
	case j.parts <- struct{}{}:
		defer func() { <-j.parts }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for range 3 {
		now, p, err := j.src.whole(ctx, n.path)
		if err != nil {
			return nil, err
		}
		same := n.entry.unchanged(&now) && int64(len(p.data)) == now.Size
		n.entry.Ino, n.entry.Size, n.entry.Mtime, n.entry.Ctime = now.Ino, now.Size, now.Mtime, now.Ctime
		if now.Size > partSize {
			return nil, errGrown
		}
		if !same {
			continue
		}
		notes, err := j.dst.put(ctx, j.dstPath(n.path), &n.entry, p)
		if err == nil {
			j.c.tally.moved.Add(int64(len(p.data)))
			j.c.tally.doneBytes.Add(int64(len(p.data)))
		}
		return notes, err
	}
	return nil, errChanged
}

// copyLarge copies a file part by part, going on where an earlier run ended.
func (j *job) copyLarge(ctx context.Context, n *name) (notes []string, err error) {
	r, err := j.src.open(ctx, n.path)
	if err != nil {
		return nil, err
	}
	w, err := j.dst.create(ctx, j.dstPath(n.path), &n.entry)
	if err != nil {
		_, _ = r.close(ctx)
		return nil, err
	}
	f := &fileCopy{j: j, size: n.entry.Size, r: r, w: w}
	err = f.run(ctx)
	now, e := r.close(context.WithoutCancel(ctx))
	if err == nil {
		err = e
	}
	if err == nil && !n.entry.unchanged(&now) {
		err = errChanged
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon(context.WithoutCancel(ctx)))
	}
	notes, err = w.finish(ctx, &n.entry)
	if err == nil {
		j.c.tally.doneBytes.Add(n.entry.Size - f.counted) // what was a hole
	}
	return notes, err
}

// fileCopy is a large file under way.
type fileCopy struct {
	j       *job
	size    int64
	r       reader
	w       writer
	counted int64 // bytes that progress has seen
}

const (
	// verifyPiece is how many parts one request verifies: short enough for a deadline.
	verifyPiece = 64
	// filePartsAtOnce bounds the parts of one file under way.
	filePartsAtOnce = 8
	// rewrites is how often parts are written again that came back damaged.
	rewrites = 2
)

func (f *fileCopy) run(ctx context.Context) error {
	claimed := f.w.claimed()
	bad, err := f.verify(ctx, claimed)
	if err != nil {
		return err
	}
	have := map[int64]bool{}
	for _, i := range claimed {
		have[i] = true
	}
	for _, i := range bad {
		delete(have, i)
	}
	var todo []int64
	for _, i := range withData(f.r.ranges(), f.size) {
		if !have[i] {
			todo = append(todo, i)
		}
	}
	for i := range have {
		n := int64(partLen(f.size, i))
		f.j.c.tally.resumed.Add(n)
		f.j.c.tally.doneBytes.Add(n)
		f.counted += n
	}
	for round := 0; ; round++ {
		if err := f.move(ctx, todo, round == 0); err != nil {
			return err
		}
		if f.j.c.o.Unchecked || len(todo) == 0 {
			return nil
		}
		if todo, err = f.verify(ctx, todo); err != nil {
			return err
		}
		if len(todo) > 0 && round == rewrites {
			return honeyant.E("verify", honeyant.Corrupt, f.j.to.String(), fmt.Errorf("%d parts read back other than they were written: look at the disk of the target", len(todo)))
		}
	}
}

// move reads and writes parts, several at once.
func (f *fileCopy) move(ctx context.Context, todo []int64, count bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(filePartsAtOnce)
	for _, i := range todo {
		select {
		case f.j.parts <- struct{}{}:
		case <-ctx.Done():
			return errors.Join(g.Wait(), context.Cause(ctx))
		}
		g.Go(func() error {
			defer func() { <-f.j.parts }()
			p, err := f.r.read(ctx, i)
			if err != nil {
				return err
			}
			if len(p.data) != partLen(f.size, i) {
				return errChanged
			}
			if err := f.w.write(ctx, i, p); err != nil {
				return err
			}
			f.j.c.tally.moved.Add(int64(len(p.data)))
			if count {
				f.j.c.tally.doneBytes.Add(int64(len(p.data)))
			}
			return nil
		})
		if count {
			f.counted += int64(partLen(f.size, i))
		}
	}
	return g.Wait()
}

// verify reads parts back and lists the bad ones. parts are in order.
func (f *fileCopy) verify(ctx context.Context, parts []int64) (bad []int64, err error) {
	for len(parts) > 0 {
		n := 1
		for n < len(parts) && n < verifyPiece && parts[n] == parts[0]+int64(n) {
			n++
		}
		more, err := f.w.verify(ctx, parts[0], parts[0]+int64(n))
		if err != nil {
			return nil, err
		}
		bad = append(bad, more...)
		parts = parts[n:]
	}
	return bad, nil
}
