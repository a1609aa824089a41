package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

func putSum(b *[8]byte, v uint64) { binary.LittleEndian.PutUint64(b[:], v) }
func getSum(b *[8]byte) uint64    { return binary.LittleEndian.Uint64(b[:]) }

// hello is what the far end says first, so that what a login script prints before it can
// be told from it.
const hello = "\x00honeyant-cp/1\n"

// peer is the end of a copy on the other machine: it does there what it is told, with the
// rights of the user who logged in.
type peer struct {
	end   localEnd
	codec *codec
	ctx   context.Context // of the handles

	mu      sync.Mutex // guards what follows
	next    uint64
	sources map[uint64]source
	targets map[uint64]target
	readers map[uint64]reader
	writers map[uint64]writer
}

// Serve answers one honeyant at the other end of in and out until in ends: what runs on
// the other machine. It waits for what is under way and closes both files. Errors: why it
// ended other than by the end of in.
func Serve(ctx context.Context, in, out *os.File, silence time.Duration, log *slog.Logger) error {
	return serve(ctx, in, out, silence, localEnd{log: log})
}

func serve(ctx context.Context, in, out *os.File, silence time.Duration, end localEnd) error {
	conn := newPipe(in, out, nil)
	p := &peer{end: end, ctx: ctx, sources: map[uint64]source{}, targets: map[uint64]target{}, readers: map[uint64]reader{}, writers: map[uint64]writer{}}
	codec, err := newCodec(CompressAuto, &conn.gauge)
	if err != nil {
		return err
	}
	p.codec = codec
	defer codec.close()
	defer p.close()
	if _, err := conn.Write([]byte(hello)); err != nil {
		return err
	}
	err = rpc.ServeConn(ctx, conn, func(ctx context.Context, _ honeyant.NodeID, m rpc.Method, req []byte) ([]byte, error) {
		q, err := decode(req)
		if err != nil {
			return nil, err
		}
		a, err := p.answer(ctx, m, q)
		if err != nil {
			return nil, err
		}
		return encode(a), nil
	}, rpcOptions(silence, end.log))
	if conn.ended() {
		return nil
	}
	return err
}

func rpcOptions(silence time.Duration, log *slog.Logger) rpc.Options {
	return rpc.Options{Log: log, Silence: silence, Dial: silence, MaxMessage: maxMessage, Concurrency: 256}
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.readers {
		_, _ = r.close(p.ctx)
	}
	for _, w := range p.writers {
		_ = w.abandon(p.ctx)
	}
	for _, s := range p.sources {
		s.close()
	}
	for _, t := range p.targets {
		t.close()
	}
}

// add gives a thing a number.
func add[T any](p *peer, all map[uint64]T, v T) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	all[p.next] = v
	return p.next
}

// get finds it, and with take forgets it.
func get[T any](p *peer, all map[uint64]T, number uint64, take bool) (T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := all[number]
	if !ok {
		return v, honeyant.E("copy", honeyant.BadHandle, fmt.Sprint(number), nil)
	}
	if take {
		delete(all, number)
	}
	return v, nil
}

func (p *peer) answer(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	if m != callLook && m != callSource && m != callTarget && (!validPath(q.Path) || m == callLink && !validPath(q.Text)) {
		return nil, honeyant.E("copy", honeyant.Invalid, q.Path, errors.New("not a path below the root"))
	}
	switch m {
	case callHello:
		return p.hello(q)
	case callLook:
		l, err := p.end.look(ctx, q.Path)
		return &message{Flag: l.exists, Entry: l.entry, Text: l.mark}, err
	case callSource:
		s, root, err := p.end.source(ctx, q.Path)
		if err != nil {
			return nil, err
		}
		return &message{Number: add(p, p.sources, s), Entry: root}, nil
	case callTarget:
		t, root, err := p.end.target(ctx, q.Path, q.Flag)
		if err != nil {
			return nil, err
		}
		return &message{Number: add(p, p.targets, t), Text: root}, nil
	case callRead, callClose:
		return p.answerReader(ctx, m, q)
	case callWrite, callVerify, callFinish, callAbandon:
		return p.answerWriter(ctx, m, q)
	case callWhole, callOpen:
		return p.answerSource(ctx, m, q)
	case callList:
		if s, err := get(p, p.sources, q.Number, false); err == nil {
			entries, next, err := s.list(ctx, q.Path, q.Text, q.Flag)
			return &message{Entries: entries, Text: next}, err
		}
	}
	return p.answerTarget(ctx, m, q)
}

func (p *peer) hello(q *message) (*message, error) {
	if q.Number != protocolVersion {
		return nil, honeyant.E("copy", honeyant.Unsupported, "", fmt.Errorf("the other honeyant speaks version %d, this one %d: install the same version on both machines", q.Number, protocolVersion))
	}
	p.codec.choice = Compression(q.Text)
	return &message{Number: protocolVersion}, nil
}

func (p *peer) answerSource(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	s, err := get(p, p.sources, q.Number, false)
	if err != nil {
		return nil, err
	}
	if m == callWhole {
		e, part, err := s.whole(ctx, q.Path)
		a := p.codec.message(part)
		a.Entry = e
		return a, err
	}
	r, err := s.open(ctx, q.Path)
	if err != nil {
		return nil, err
	}
	return &message{Number: add(p, p.readers, r), Spans: r.ranges()}, nil
}

func (p *peer) answerReader(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	r, err := get(p, p.readers, q.Number, m == callClose)
	if err != nil {
		return nil, err
	}
	if m == callClose {
		e, err := r.close(ctx)
		return &message{Entry: e}, err
	}
	part, err := r.read(ctx, q.From)
	return p.codec.message(part), err
}

func (p *peer) answerWriter(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	w, err := get(p, p.writers, q.Number, m == callFinish || m == callAbandon)
	if err != nil {
		return nil, err
	}
	switch m {
	case callWrite:
		part, err := p.codec.part(q)
		if err != nil {
			return nil, err
		}
		return &message{}, w.write(ctx, q.From, part)
	case callVerify:
		bad, err := w.verify(ctx, q.From, q.To)
		return &message{Spans: spansOf(bad)}, err
	case callFinish:
		notes, err := w.finish(ctx, &q.Entry)
		return &message{Notes: notes}, err
	}
	return &message{}, w.abandon(ctx)
}

func (p *peer) answerTarget(ctx context.Context, m rpc.Method, q *message) (*message, error) {
	t, err := get(p, p.targets, q.Number, false)
	if err != nil {
		return nil, err
	}
	a := &message{}
	switch m {
	case callList:
		a.Entries, a.Text, err = t.list(ctx, q.Path, q.Text)
	case callMkdir:
		a.Flag, err = t.mkdir(ctx, q.Path)
	case callPut:
		var part part
		if part, err = p.codec.part(q); err == nil {
			a.Notes, err = t.put(ctx, q.Path, &q.Entry, part)
		}
	case callCreate:
		var w writer
		if w, err = t.create(ctx, q.Path, &q.Entry); err == nil {
			a.Number, a.Spans = add(p, p.writers, w), spansOf(w.claimed())
		}
	case callSpecial:
		a.Notes, err = t.special(ctx, q.Path, &q.Entry)
	case callLink:
		err = t.link(ctx, q.Path, q.Text)
	case callSeal:
		e := &q.Entry
		if e.Kind == 0 {
			e = nil
		}
		a.Notes, err = t.seal(ctx, q.Path, e)
	case callMark:
		err = t.mark(ctx, q.Path, q.Text)
	case callUnmark:
		err = t.unmark(ctx, q.Path)
	default:
		err = honeyant.E("copy", honeyant.Unsupported, fmt.Sprintf("call %d", m), nil)
	}
	return a, err
}

// message packs a part.
func (c *codec) message(p part) *message {
	f, b := c.pack(p.data)
	return &message{Form: f, Length: int64(len(p.data)), Sum: p.sum, Data: b}
}

// part unpacks one, and checks that it is what was read at the source. Errors: Corrupt.
func (c *codec) part(m *message) (part, error) {
	b, err := c.unpack(m.Form, m.Data)
	if err != nil {
		return part{}, err
	}
	p := part{b, m.Sum}
	if int64(len(b)) != m.Length || sumOf(b) != m.Sum {
		return p, honeyant.E("copy", honeyant.Corrupt, "", errors.New("a part changed on its way"))
	}
	return p, nil
}

// trimHello finds the hello in what came first; found is false if it is not there.
func trimHello(b string) (rest string, found bool) {
	_, rest, found = strings.Cut(b, hello)
	return rest, found
}
