package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// Serve answers the calls of all connections that l accepts, until ctx ends (then it closes
// l, cancels the handlers, waits for them and returns nil) or Accept fails.
func Serve(ctx context.Context, l Listener, h Handler, o Options) error {
	o = o.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before the wait
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return honeyant.E("rpc.Serve", honeyant.Other, "", err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			err := ServeConn(ctx, conn, h, o)
			o.Log.Debug("connection ended", "peer", conn.Peer(), "err", err)
		}()
	}
}

// ServeConn answers the calls of one connection until it or ctx ends, closes it, waits for
// its handlers and returns the reason.
func ServeConn(ctx context.Context, conn Conn, h Handler, o Options) error {
	o = o.withDefaults()
	s := &serverConn{conn: conn, handler: h, o: o, send: newSender(conn, o.Silence), calls: map[uint32]context.CancelFunc{}}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(ctx, func() {
		conn.Close()
		s.send.fail(context.Cause(ctx))
	})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		cancel(s.send.run())
	}()
	err := s.receive(ctx, &wg)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(err)
	stop()
	conn.Close()
	s.send.fail(err)
	wg.Wait()
	return err
}

// serverConn is the answering end of a connection that carries calls.
type serverConn struct {
	conn    Conn
	handler Handler
	o       Options
	send    *sender

	mu    sync.Mutex                    // guards calls
	calls map[uint32]context.CancelFunc // under way
}

// overload is how many calls a server takes at once from one connection, as a multiple of
// what a client sends by itself; more are refused, because to stop reading would silence pings.
const overload = 4

var requestPool = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// receive reads requests and starts their handlers.
func (s *serverConn) receive(ctx context.Context, wg *sync.WaitGroup) error {
	r := bufio.NewReaderSize(s.conn, 8<<10)
	var head [headerSize]byte
	for {
		f, err := readFrame(r, head[:], s.o.MaxMessage)
		if err != nil {
			return err
		}
		switch f.kind {
		case framePing:
			if err := s.send.post(frame{kind: framePong}, nil); err != nil {
				return err
			}
		case frameCancel:
			s.mu.Lock()
			if cancel := s.calls[f.call]; cancel != nil {
				cancel()
			}
			s.mu.Unlock()
		case frameRequest:
			if err := s.request(ctx, f, r, wg); err != nil {
				return err
			}
		default:
			return corruptFrame("type %d from a client", f.kind)
		}
	}
}

func (s *serverConn) request(ctx context.Context, f frame, r io.Reader, wg *sync.WaitGroup) error {
	req := requestPool.Get().(*[]byte)
	if cap(*req) < int(f.length) {
		*req = make([]byte, f.length)
	}
	*req = (*req)[:f.length]
	if _, err := io.ReadFull(r, *req); err != nil {
		return err
	}
	var callCtx context.Context
	var cancel context.CancelFunc
	if f.timeout > 0 {
		callCtx, cancel = context.WithTimeout(ctx, time.Duration(f.timeout)*time.Millisecond)
	} else {
		callCtx, cancel = context.WithCancel(ctx)
	}
	s.mu.Lock()
	_, twice := s.calls[f.call]
	full := len(s.calls) >= overload*s.o.Concurrency
	if !twice && !full {
		s.calls[f.call] = cancel
	}
	s.mu.Unlock()
	if twice {
		cancel()
		return corruptFrame("call %d is under way", f.call)
	}
	if full {
		cancel()
		busy := honeyant.E("rpc.Serve", honeyant.Unavailable, "", fmt.Errorf("too many calls at once"))
		return s.send.post(frame{kind: frameFault, call: f.call}, EncodeError(busy))
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer cancel()
		s.answer(ctx, callCtx, f, *req)
		if cap(*req) <= keepQueue {
			requestPool.Put(req)
		}
	}()
	return nil
}

// answer runs the handler. ctx is the connection's, call the call's.
func (s *serverConn) answer(ctx, call context.Context, f frame, req []byte) {
	resp, err := s.handler(call, s.conn.Peer(), f.method, req)
	if err == nil && len(resp) > s.o.MaxMessage {
		err = honeyant.E("rpc.Serve", honeyant.Internal, "", fmt.Errorf("an answer of %d bytes", len(resp)))
	}
	s.mu.Lock()
	delete(s.calls, f.call)
	s.mu.Unlock()
	out := frame{kind: frameAnswer, call: f.call}
	if err != nil {
		out.kind, resp = frameFault, EncodeError(err)
	}
	// A failed send has ended the connection, and the client knows that by itself.
	if err := s.send.send(ctx, out, resp); err != nil {
		s.o.Log.Debug("answer not sent", "peer", s.conn.Peer(), "err", err)
	}
}
