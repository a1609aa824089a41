package volume

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume/dirty"
	"github.com/honeyant/honeyant/volume/extents"
)

// maxRefetch is how often a read fetches extents again because chunks were gone [25].
const maxRefetch = 3

// readPause is the first pause before a read asks again whether anybody who could answer does.
const readPause = 50 * time.Millisecond

// ReadAt reads up to len(p) bytes at off; fewer only at the end of the file, where it returns 0
// and no error (not io.EOF).
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	const op = "volume.Read"
	switch {
	case !f.f.Read:
		return 0, honeyant.E(op, honeyant.BadHandle, f.object(), nil)
	case off < 0:
		return 0, honeyant.E(op, honeyant.Invalid, f.object(), fmt.Errorf("negative offset"))
	case len(p) == 0 || off >= honeyant.MaxFileSize:
		return 0, nil
	}
	ctx, cancel := f.v.within(ctx)
	defer cancel()
	n, err := f.read(ctx, p, off)
	if err != nil {
		return 0, f.v.fault(ctx, op, f.object(), err)
	}
	f.v.stats.read.Add(uint64(n))
	return n, nil
}

// ReadAround is ReadAt, and puts what must be fetched with the bytes at off anyway, because it is checked together with them, into wide:
// more bytes from at on. There is none if the bytes are known here, are not all in one frame of a chunk, or the file is being read from
// one end to the other.
func (f *File) ReadAround(ctx context.Context, p []byte, off int64, wide []byte) (n int, at int64, more int, err error) {
	s := f.around(off, len(p))
	if s.from >= s.to || s.to-s.from > int64(len(wide)) {
		n, err = f.ReadAt(ctx, p, off)
		return n, 0, 0, err
	}
	more, err = f.ReadAt(ctx, wide[:s.to-s.from], s.from)
	if err != nil {
		return 0, 0, 0, err
	}
	n = copy(p, wide[min(int(off-s.from), more):more])
	f.v.stats.read.Add(uint64(n) - uint64(more)) // what was asked for
	return n, s.from, more, nil
}

// around is the part of the file that lies in the frame of [off, off+n); empty if that is not one, see ReadAround.
func (f *File) around(off int64, n int) span {
	in := f.in
	in.mu.Lock()
	defer in.mu.Unlock()
	want := span{off, min(off+int64(n), int64(in.attr.Size))}
	if off < 0 || want.from >= want.to || len(in.dirty) > 0 || len(in.flights) > 0 || !in.fresh() || in.ext.KnownFrom(off) < want.to || f.ahead.goesOn(off) {
		return span{}
	}
	var one [2]extents.Part
	parts := in.ext.ChunksOf(want.from, want.to, one[:0])
	if len(parts) != 1 || parts[0].At != want.from || int64(parts[0].Length) != want.to-want.from {
		return span{}
	}
	p := parts[0]
	first := p.Off / honeyant.FrameSize * honeyant.FrameSize
	if p.Off+p.Length > first+honeyant.FrameSize || f.v.cache.Has(p.Ref.ID, int(p.Off)) {
		return span{}
	}
	e, _ := in.ext.At(off) // there is a chunk
	frame := span{off - int64(p.Off-first), off - int64(p.Off-first) + honeyant.FrameSize}
	return span{max(frame.from, int64(e.Offset), 0), min(frame.to, int64(e.End()), int64(in.attr.Size))}
}

func (f *File) read(ctx context.Context, p []byte, off int64) (int, error) {
	in := f.in
	var pieces []extents.Piece
	asked := false // the leader has just been asked: what is remembered is fresh enough
	for refetched, fetched := 0, 0; ; {
		in.mu.Lock()
		n, left, missing := in.plan(p, off, pieces[:0], asked)
		version, size := in.attr.Version, in.attr.Size
		in.mu.Unlock()
		pieces = left
		if missing.from < missing.to {
			if _, err := in.fetch(ctx, "volume.Read", missing.from, 0); err != nil {
				return 0, err
			}
			asked = true
			if fetched++; fetched%maxOvertaken == 0 {
				in.unlearn()
			}
			continue
		}
		if refetched == 0 {
			f.readAhead(off, n)
			f.v.loadCompany(size, pieces)
		}
		err := f.v.fillAll(ctx, pieces)
		if err == nil {
			return n, nil
		}
		switch honeyant.KindOf(err) {
		case honeyant.Stale, honeyant.NotExist:
			if refetched++; refetched > maxRefetch {
				return 0, honeyant.E("volume.Read", honeyant.Unavailable, in.object(), err)
			}
		case honeyant.Unavailable: // perhaps a node that restarts; newer extents may know another one
			if ctx.Err() != nil {
				return 0, err
			}
		default:
			return 0, err
		}
		f.v.names.forgetContents(in.ino)
		f.v.journal.forgetExtents(ctx, in.ino)
		in.mu.Lock()
		if in.attr.Version == version {
			in.ext.Reset()
		}
		in.mu.Unlock()
	}
}

// maxOvertaken is after how many answers that did not help a read no longer takes them for overtaken.
const maxOvertaken = 64

// unlearn forgets what is known: the leader goes on telling of an older Version, for a change that was made here has
// been lost.
func (in *inode) unlearn() {
	in.v.names.forgetContents(in.ino)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.known = false
	in.ext.Reset()
}

// plan fills what is known without I/O into p: dirty and flying bytes, holes, inline bytes. It
// returns how much of p there is to read at all and the pieces that must come from chunks; if
// missing is not empty, the leader must be asked about it first. in.mu is held.
func (in *inode) plan(p []byte, off int64, pieces []extents.Piece, asked bool) (n int, left []extents.Piece, missing span) {
	var one [4]span
	gaps := append(one[:0], span{off, off + int64(len(p))})
	gaps = copyOver(in.dirty, p, off, gaps)
	for i := len(in.flights) - 1; i >= 0; i-- { // later ones lie over earlier ones
		gaps = copyOver(in.flights[i].runs, p, off, gaps)
	}
	if len(gaps) == 0 {
		return len(p), pieces, span{}
	}
	if !asked && !in.fresh() {
		return 0, pieces, span{off, off + int64(len(p))}
	}
	end := in.size()
	if off >= end {
		return 0, pieces, span{}
	}
	n = int(min(int64(len(p)), end-off))
	committed := int64(in.attr.Size)
	for _, g := range gaps {
		g.to = min(g.to, off+int64(n))
		if g.from >= g.to {
			continue
		}
		if g.to > committed {
			from := max(g.from, committed)
			clear(p[from-off : g.to-off])
			g.to = from
			if g.from >= g.to {
				continue
			}
		}
		if known := in.ext.KnownFrom(g.from); known < g.to {
			return n, pieces, span{known, g.to}
		}
		pieces = in.ext.Resolve(p, off, g.from, g.to, pieces)
	}
	return n, pieces, span{}
}

// fetch asks the leader for the extents from off on, and confirms what is known of the inode.
// limit 0 chooses: more for a file that is read from one end to the other.
func (in *inode) fetch(ctx context.Context, name string, off int64, limit uint32) (honeyant.Attr, error) {
	v := in.v
	in.mu.Lock()
	if limit == 0 {
		limit = openExtents
		if _, any := in.ext.At(0); any && off > 0 && in.ext.KnownFrom(off-1) == off {
			limit = 1024
		}
	}
	in.mu.Unlock()
	sent := time.Now()
	r, err := ask(ctx, v, name, &meta.Extents{
		Volume: v.o.Volume, Ino: in.ino, Offset: uint64(off), Length: uint64(honeyant.MaxFileSize - off), Limit: limit,
	})
	if err != nil {
		return honeyant.Attr{}, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.learn(r.Attr, sent)
	if r.Attr.Version == in.attr.Version {
		in.ext.Add(off, int64(min(r.Until, honeyant.MaxFileSize)), r.Extents, r.Chunks)
	}
	return in.newest(r.Attr), nil
}

// fillAll reads all pieces. Those that nobody could give are asked for a few times more before the
// error is returned, always after a pause.
func (v *Volume) fillAll(ctx context.Context, pieces []extents.Piece) error {
	wait := readPause
	for round := 0; ; round++ {
		left, err := v.fill(ctx, pieces)
		if err == nil {
			return nil
		}
		if honeyant.KindOf(err) != honeyant.Unavailable || pause(ctx, wait) != nil || round == 3 {
			return err
		}
		pieces, wait = left, 2*wait
	}
}

// fill reads the pieces, those that are not in the cache in parallel, and returns those that
// could not be read with the gravest error: a chunk that is gone is told before silence.
func (v *Volume) fill(ctx context.Context, pieces []extents.Piece) (left []extents.Piece, err error) {
	if len(pieces) == 0 {
		return nil, nil
	}
	var cold []extents.Piece
	for _, p := range pieces {
		rest, hits := v.cache.Read(ctx, p.Ref.ID, int(p.Off), p.Dst)
		v.stats.cacheHits.Add(uint64(hits))
		if len(rest) > 0 {
			v.stats.cacheMisses.Add(1)
		}
		for _, gap := range rest {
			cold = append(cold, extents.Piece{Dst: gap.Dst, Ref: p.Ref, Off: uint32(gap.Off)})
		}
	}
	switch len(cold) {
	case 0:
		return nil, nil
	case 1: // as most often
		return cold, v.readPiece(ctx, cold[0])
	}
	errs := make([]error, len(cold))
	var wg sync.WaitGroup
	slots := newTurn(maxPieces)
	for i, p := range cold {
		if i == len(cold)-1 {
			errs[i] = v.readPiece(ctx, p) // the last one needs no goroutine
			break
		}
		if errs[i] = slots.take(ctx); errs[i] != nil {
			continue
		}
		wg.Go(func() {
			defer slots.give()
			errs[i] = v.readPiece(ctx, p)
		})
	}
	wg.Wait()
	for i, e := range errs {
		if e == nil {
			continue
		}
		left = append(left, cold[i])
		if err == nil || honeyant.KindOf(err) == honeyant.Unavailable {
			err = e
		}
	}
	return left, err
}

// maxPieces bounds the requests of one read that are under way.
const maxPieces = 16

func (v *Volume) readPiece(ctx context.Context, p extents.Piece) error {
	return v.o.Chunks.Read(ctx, p.Ref, p.Dst, p.Off)
}

// span is a range of file offsets [from, to).
type span struct{ from, to int64 }

// copyOver puts the bytes of rs of the spans into p, which stands for the file from base on, and
// returns the spans that are left.
func copyOver(rs dirty.Runs, p []byte, base int64, spans []span) []span {
	if len(rs) == 0 || len(spans) == 0 {
		return spans
	}
	var left []span
	for _, s := range spans {
		for i := rs.After(s.from); i < len(rs) && rs[i].Off < s.to; i++ {
			r := rs[i]
			if r.Off > s.from {
				left = append(left, span{s.from, r.Off})
				s.from = r.Off
			}
			upto := min(s.to, r.End())
			copy(p[s.from-base:upto-base], r.Bytes()[s.from-r.Off:])
			s.from = upto
		}
		if s.from < s.to {
			left = append(left, s)
		}
	}
	return left
}
