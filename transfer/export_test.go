package transfer

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// OnChange makes a copier call did after each change to a target of this machine.
func (c *Copier) OnChange(did func(change, path string)) { c.did = did }

// ServeWatched is Serve that calls did after each change to a target.
func ServeWatched(ctx context.Context, in, out *os.File, did func(change, path string)) error {
	return serve(ctx, in, out, 10*time.Second, localEnd{log: slog.New(slog.DiscardHandler), did: did})
}

const (
	PartSize = partSize
	OurNames = ourNames
)

var (
	BesideOf = besideOf
	ReadList = readList
	Decode   = decode
)

// Names lists a directory tree of this machine with everything that a copy keeps.
func Names(root string) (map[string]Entry, error) {
	s, top, err := (&localEnd{}).source(context.Background(), root)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all := map[string]Entry{"": top}
	var visit func(dir string) error
	visit = func(dir string) error {
		return pages(func(after string) ([]Entry, string, error) { return s.list(context.Background(), dir, after, false) }, func(e *Entry) error {
			path := join(dir, e.Name)
			all[path] = *e
			if e.Kind == Dir {
				return visit(path)
			}
			return nil
		}, func(err error) error { return err })
	}
	if top.Kind != Dir {
		return all, nil
	}
	return all, visit("")
}
