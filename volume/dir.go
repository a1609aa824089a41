package volume

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// Entries asked for at a time: few at first, since many listings are short.
const (
	dirFirst = 128
	dirBatch = 1024
)

// Dir is an open directory. Safe for concurrent use; calls take turns.
type Dir struct {
	v   *Volume
	ino honeyant.Ino

	turn turn // guards what follows; held across requests

	entries []meta.DirEntry // read ahead
	plus    bool            // with attributes
	at      int             // the next one to emit
	eof     bool            // nothing comes after entries
	cookie  uint64          // of the last one emitted
	name    string          // its name, to tell equal cookies apart
	batch   uint32

	told    atomic.Uint64 // lost changes that Sync has told
	closing sync.Once
}

// Sync is fsync of a directory: on return what was done to its entries before is on a quorum's stable storage. If changes
// of names or attributes were lost since the directory was opened, that is the error, once.
func (d *Dir) Sync(ctx context.Context) error {
	ctx, cancel := d.v.within(ctx)
	defer cancel()
	if err := d.v.journal.flush(ctx); err != nil {
		return d.v.fault(ctx, "volume.SyncDir", "", err)
	}
	return d.v.journal.report(&d.told)
}

// OpenDir opens a directory for reading. No request is made.
func (v *Volume) OpenDir(ctx context.Context, ino honeyant.Ino) (*Dir, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dirs++
	d := &Dir{v: v, ino: ino, turn: newTurn(1)}
	d.told.Store(v.journal.stats.lost.Load())
	return d, nil
}

// Ino is the directory's inode number.
func (d *Dir) Ino() honeyant.Ino { return d.ino }

// Read calls emit for the entries after the one with the cookie (0: from the start) until emit
// returns false, which says that the entry did not fit and is to come again. With plus entries
// carry attributes. "." and ".." are not among them. Cookie 0 starts afresh (rewinddir). An entry
// that is there during the whole listing is seen exactly once.
func (d *Dir) Read(ctx context.Context, cookie uint64, plus bool, emit func(meta.DirEntry) bool) error {
	ctx, cancel := d.v.within(ctx)
	defer cancel()
	if err := d.turn.take(ctx); err != nil {
		return d.v.fault(ctx, "volume.ReadDir", "", err)
	}
	defer d.turn.give()
	skip := d.seek(cookie, plus)
	for {
		for d.at < len(d.entries) {
			e := d.entries[d.at]
			if skip && e.Cookie == cookie {
				skip = false
				d.at++
				continue
			}
			skip = false
			if plus {
				e.Attr = d.v.seen(e.Attr)
			}
			if !emit(e) {
				return nil
			}
			d.at++
			d.cookie, d.name = e.Cookie, e.Name
		}
		if d.eof {
			return nil
		}
		if err := d.more(ctx, skip, cookie); err != nil {
			return err
		}
	}
}

// seek goes to the entry after the one with the cookie. If it is not the one emitted last, it may
// share its cookie with others: then the listing is asked for from just before, and skip says
// that the first entry with that cookie has been seen.
func (d *Dir) seek(cookie uint64, plus bool) (skip bool) {
	if cookie != 0 && cookie == d.cookie && plus == d.plus {
		return false
	}
	known := cookie != 0 && cookie == d.cookie // only plus changed
	d.entries, d.at, d.eof, d.plus = nil, 0, false, plus
	if known {
		return false
	}
	d.cookie, d.name, d.batch = cookie, "", dirFirst
	return cookie != 0
}

// more fetches the entries after the last one known.
func (d *Dir) more(ctx context.Context, skip bool, cookie uint64) error {
	op := &meta.ReadDir{Volume: d.v.o.Volume, Dir: d.ino, Cookie: d.cookie, After: d.name, Plus: d.plus, Limit: max(d.batch, dirFirst)}
	if skip && cookie > 0 {
		op.Cookie, op.After = cookie-1, ""
	}
	if n := len(d.entries); n > 0 {
		op.Cookie, op.After = d.entries[n-1].Cookie, d.entries[n-1].Name
	}
	r, err := ask(ctx, d.v, "volume.ReadDir", op)
	if err != nil {
		return err
	}
	d.batch = dirBatch
	d.entries, d.at, d.eof = r.Entries, 0, r.EOF || len(r.Entries) == 0
	return nil
}

// Close forgets what was read ahead. Harmless twice.
func (d *Dir) Close() {
	d.closing.Do(func() {
		d.v.mu.Lock()
		defer d.v.mu.Unlock()
		d.v.dirs--
	})
}
