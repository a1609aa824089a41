package transfer

import (
	"context"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// callTime is the longest that one call may take: the sync of a large file on a slow disk.
// A machine that is gone is noticed long before, by its silence.
const callTime = 15 * time.Minute

// remoteEnd is a machine with a honeyant that answers there.
type remoteEnd struct {
	host   string
	client *rpc.Client
	dialer *connections
	links  []remoteLink
	tally  *tally
}

// remoteLink is one ssh connection.
type remoteLink struct {
	e     *remoteEnd
	node  honeyant.NodeID
	codec *codec
}

func newRemoteEnd(ctx context.Context, host string, conns []*pipe, o *Options, t *tally) (end, error) {
	d := &connections{conns: append([]*pipe{}, conns...)}
	resolve := func(honeyant.NodeID) (string, bool) { return host, true }
	e := &remoteEnd{host: host, dialer: d, tally: t, client: rpc.NewClient(d, resolve, "honeyant-cp/1", rpcOptions(o.Silence, o.Log))}
	for i, conn := range conns {
		codec, err := newCodec(o.Compress, &conn.gauge)
		if err != nil {
			e.close()
			return nil, err
		}
		l := remoteLink{e, honeyant.NodeID(i + 1), codec}
		e.links = append(e.links, l)
		if _, err := l.call(ctx, callHello, &message{Number: protocolVersion, Text: string(o.Compress)}); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

func (*remoteEnd) way() string { return "honeyant" }

func (e *remoteEnd) close() error {
	err := e.client.Close()
	e.dialer.close()
	for _, l := range e.links {
		l.codec.close()
	}
	return err
}

func (l *remoteLink) call(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	b, err := l.e.client.Call(ctx, l.node, m, encode(q))
	if err != nil {
		return nil, l.readable(ctx, err)
	}
	return decode(b)
}

// readable gives an error of the other machine without the words of the wire.
func (l *remoteLink) readable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return onHost(l.e.host, err)
}

func (e *remoteEnd) look(ctx context.Context, path string) (look, error) {
	a, err := e.links[0].call(ctx, callLook, &message{Path: path})
	if err != nil {
		return look{}, err
	}
	return look{exists: a.Flag, entry: a.Entry, mark: a.Text}, nil
}

func (e *remoteEnd) source(ctx context.Context, path string) (source, Entry, error) {
	s := &remoteSource{e: e}
	var root Entry
	for _, l := range e.links {
		a, err := l.call(ctx, callSource, &message{Path: path})
		if err != nil {
			return nil, Entry{}, err
		}
		s.numbers, root = append(s.numbers, a.Number), a.Entry
	}
	return s, root, nil
}

func (e *remoteEnd) target(ctx context.Context, path string, verify bool) (target, string, error) {
	t := &remoteTarget{e: e}
	root := ""
	for _, l := range e.links {
		a, err := l.call(ctx, callTarget, &message{Path: path, Flag: verify})
		if err != nil {
			return nil, "", err
		}
		t.numbers, root = append(t.numbers, a.Number), a.Text
	}
	return t, root, nil
}

// pick spreads paths over the connections; all about one path goes the same way.
func (e *remoteEnd) pick(path string) (l *remoteLink, at int) {
	at = int(sumOf([]byte(path)) % uint64(len(e.links)))
	return &e.links[at], at
}

// remoteSource is a tree of the other machine.
type remoteSource struct {
	e       *remoteEnd
	numbers []uint64 // per connection
}

func (s *remoteSource) close() error { return nil } // with the connection

func (s *remoteSource) list(ctx context.Context, dir, after string, brief bool) ([]Entry, string, error) {
	l, at := s.e.pick(dir)
	a, err := l.call(ctx, callList, &message{Number: s.numbers[at], Path: dir, Text: after, Flag: brief})
	if err != nil {
		return nil, "", err
	}
	return named(a.Entries), a.Text, nil
}

// named drops entries without a name, which only a root may be.
func named(entries []Entry) []Entry {
	kept := entries[:0]
	for _, e := range entries {
		if e.Name != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

func (s *remoteSource) whole(ctx context.Context, path string) (Entry, part, error) {
	l, at := s.e.pick(path)
	a, err := l.call(ctx, callWhole, &message{Number: s.numbers[at], Path: path})
	if err != nil {
		return Entry{}, part{}, err
	}
	p, err := l.arrived(a)
	return a.Entry, p, err
}

// arrived unpacks and counts a part.
func (l *remoteLink) arrived(a *message) (part, error) {
	p, err := l.codec.part(a)
	if err == nil {
		l.e.tally.travelled(a.Form, len(p.data), len(a.Data))
	}
	return p, err
}

func (s *remoteSource) open(ctx context.Context, path string) (reader, error) {
	l, at := s.e.pick(path)
	a, err := l.call(ctx, callOpen, &message{Number: s.numbers[at], Path: path})
	if err != nil {
		return nil, err
	}
	return &remoteReader{l, a.Number, a.Spans}, nil
}

type remoteReader struct {
	l      *remoteLink
	number uint64
	data   []span
}

func (r *remoteReader) ranges() []span { return r.data }

func (r *remoteReader) read(ctx context.Context, i int64) (part, error) {
	a, err := r.l.call(ctx, callRead, &message{Number: r.number, From: i})
	if err != nil {
		return part{}, err
	}
	return r.l.arrived(a)
}

func (r *remoteReader) close(ctx context.Context) (Entry, error) {
	a, err := r.l.call(ctx, callClose, &message{Number: r.number})
	if err != nil {
		return Entry{}, err
	}
	return a.Entry, nil
}

// remoteTarget is a tree of the other machine to write into.
type remoteTarget struct {
	e       *remoteEnd
	numbers []uint64 // per connection
}

func (t *remoteTarget) close() error { return nil } // with the connection

func (t *remoteTarget) call(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	l, at := t.e.pick(q.Path)
	q.Number = t.numbers[at]
	return l.call(ctx, m, q)
}

func (t *remoteTarget) list(ctx context.Context, dir, after string) ([]Entry, string, error) {
	a, err := t.call(ctx, callList, &message{Path: dir, Text: after})
	if err != nil {
		return nil, "", err
	}
	return named(a.Entries), a.Text, nil
}

func (t *remoteTarget) mkdir(ctx context.Context, path string) (bool, error) {
	a, err := t.call(ctx, callMkdir, &message{Path: path})
	if err != nil {
		return false, err
	}
	return a.Flag, nil
}

func (t *remoteTarget) put(ctx context.Context, path string, e *Entry, p part) ([]string, error) {
	l, at := t.e.pick(path)
	q := l.codec.message(p)
	q.Number, q.Path, q.Entry = t.numbers[at], path, *e
	a, err := l.call(ctx, callPut, q)
	if err != nil {
		return nil, err
	}
	t.e.tally.travelled(q.Form, len(p.data), len(q.Data))
	return a.Notes, nil
}

func (t *remoteTarget) create(ctx context.Context, path string, e *Entry) (writer, error) {
	l, at := t.e.pick(path)
	a, err := l.call(ctx, callCreate, &message{Number: t.numbers[at], Path: path, Entry: *e})
	if err != nil {
		return nil, err
	}
	return &remoteWriter{l, a.Number, partsIn(a.Spans, e.Size)}, nil
}

func (t *remoteTarget) notes(ctx context.Context, m rpc.Method, path string, e *Entry) ([]string, error) {
	q := &message{Path: path}
	if e != nil {
		q.Entry = *e
	}
	a, err := t.call(ctx, m, q)
	if err != nil {
		return nil, err
	}
	return a.Notes, nil
}

func (t *remoteTarget) special(ctx context.Context, path string, e *Entry) ([]string, error) {
	return t.notes(ctx, callSpecial, path, e)
}

func (t *remoteTarget) seal(ctx context.Context, path string, e *Entry) ([]string, error) {
	return t.notes(ctx, callSeal, path, e)
}

func (t *remoteTarget) link(ctx context.Context, path, first string) error {
	_, err := t.call(ctx, callLink, &message{Path: path, Text: first})
	return err
}

func (t *remoteTarget) mark(ctx context.Context, path, text string) error {
	_, err := t.call(ctx, callMark, &message{Path: path, Text: text})
	return err
}

func (t *remoteTarget) unmark(ctx context.Context, path string) error {
	_, err := t.call(ctx, callUnmark, &message{Path: path})
	return err
}

type remoteWriter struct {
	l      *remoteLink
	number uint64
	there  []int64
}

func (w *remoteWriter) claimed() []int64 { return w.there }

func (w *remoteWriter) write(ctx context.Context, i int64, p part) error {
	q := w.l.codec.message(p)
	q.Number, q.From = w.number, i
	if _, err := w.l.call(ctx, callWrite, q); err != nil {
		return err
	}
	w.l.e.tally.travelled(q.Form, len(p.data), len(q.Data))
	return nil
}

func (w *remoteWriter) verify(ctx context.Context, from, to int64) ([]int64, error) {
	a, err := w.l.call(ctx, callVerify, &message{Number: w.number, From: from, To: to})
	if err != nil {
		return nil, err
	}
	return partsIn(a.Spans, to*partSize), nil
}

func (w *remoteWriter) finish(ctx context.Context, e *Entry) ([]string, error) {
	a, err := w.l.call(ctx, callFinish, &message{Number: w.number, Entry: *e})
	if err != nil {
		return nil, err
	}
	return a.Notes, nil
}

func (w *remoteWriter) abandon(ctx context.Context) error {
	_, err := w.l.call(ctx, callAbandon, &message{Number: w.number})
	return err
}
