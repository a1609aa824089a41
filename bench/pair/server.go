package pair

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/rpc"
)

// ServerOptions are what a Server needs of its node.
type ServerOptions struct {
	Log *slog.Logger
	// Listen opens a port without TLS on the node's address. Default: any port of the
	// host that connections of the colony come in on.
	Listen func() (net.Listener, error)
	// Pairs measures the way to other nodes, Groups this machine. They tell their steps.
	Pairs  func(ctx context.Context, to []honeyant.NodeID, w Work, tell func(Step)) (*bench.Run, error)
	Groups func(ctx context.Context, w Work, tell func(Step)) (*bench.Run, error)
	// SSH starts an sshd that another node may measure; stop ends it. May be nil.
	SSH func(ctx context.Context) (login bench.Login, stop func() error, err error)
	// Archive is this node's copy of the colony's history. May be nil.
	Archive Archive
}

// Archive keeps runs. Safe for concurrent use.
type Archive interface {
	// IDs lists all runs, Find returns one (NotExist if there is none).
	IDs() ([]string, error)
	Find(id string) (*bench.Run, error)
	// Fetch takes over what a node has and this one lacks, and tells how many that were.
	Fetch(ctx context.Context, from honeyant.NodeID) (int, error)
}

// Server answers measurements of other nodes. Safe for concurrent use.
type Server struct {
	o    ServerOptions
	turn chan struct{} // holds a token while a measurement is asked for here [P2]
}

// NewServer makes a Server; Serve runs it.
func NewServer(o ServerOptions) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Listen == nil {
		o.Listen = func() (net.Listener, error) { return net.Listen("tcp", ":0") }
	}
	return &Server{o: o, turn: make(chan struct{}, 1)}
}

// idle is how long a connection may wait for its next request.
const idle = 2 * time.Minute

// maxStreams is how many connections one measurement may have.
const maxStreams = 16

// tokenSize is the length of what a connection without TLS has to show, in bytes.
const tokenSize = 16

// Serve answers the connections of l until ctx ends, and waits for them.
func (s *Server) Serve(ctx context.Context, l rpc.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return honeyant.E("pair.Serve", honeyant.Other, "", err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			err := s.converse(ctx, conn, conn.Peer())
			s.o.Log.Debug("measuring connection ended", "peer", conn.Peer(), "err", err)
		}()
	}
}

// converse answers the requests of one connection until it ends. A connection without TLS,
// whose peer is nobody, may only bring streams.
func (s *Server) converse(ctx context.Context, conn net.Conn, peer honeyant.NodeID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for {
		conn.SetReadDeadline(time.Now().Add(idle))
		var q request
		if err := readMessage(conn, maxRequest, &q); err != nil {
			return err
		}
		var err error
		switch {
		case q.Op == opReceive:
			err = s.receive(ctx, conn)
		case peer == 0:
			err = errors.New("only streams here")
		case q.Op == opEcho:
			return echo(conn)
		case q.Op == opRaw:
			return s.raw(ctx, conn, q)
		case q.Op == opSSH:
			return s.ssh(ctx, conn)
		case q.Op == opTime:
			err = writeMessage(conn, answer{Clock: time.Now().UnixNano()})
		case q.Op == opPairs, q.Op == opGroups:
			err = s.work(ctx, cancel, conn, q)
		case s.o.Archive != nil && (q.Op == opHistory || q.Op == opRun || q.Op == opFetch):
			err = s.archive(ctx, conn, peer, q)
		default:
			err = refuse(conn, honeyant.E("pair.Serve", honeyant.Unsupported, q.Op, errors.New("this node does not know the measurement; is it older?")))
		}
		if err != nil {
			return err
		}
	}
}

func refuse(conn net.Conn, err error) error {
	return writeMessage(conn, answer{Kind: honeyant.KindOf(err), Error: err.Error()})
}

func (s *Server) receive(ctx context.Context, conn net.Conn) error {
	n, took, err := bench.Receive(ctx, conn)
	if err != nil {
		return err
	}
	return writeMessage(conn, answer{Bytes: n, Nanos: int64(took)})
}

// echo sends back what comes, byte by byte, after an empty answer.
func echo(conn net.Conn) error {
	if err := writeMessage(conn, answer{}); err != nil {
		return err
	}
	b := make([]byte, 64)
	for {
		conn.SetDeadline(time.Now().Add(idle))
		n, err := conn.Read(b)
		if err != nil {
			return err
		}
		if _, err := conn.Write(b[:n]); err != nil {
			return err
		}
	}
}

// raw opens a port without TLS for as long as conn lives [P1].
func (s *Server) raw(ctx context.Context, conn net.Conn, q request) error {
	if q.Streams < 1 || q.Streams > maxStreams {
		return refuse(conn, honeyant.E("pair.Raw", honeyant.Invalid, fmt.Sprint(q.Streams), errors.New("1 to 16 streams")))
	}
	ln, err := s.o.Listen()
	if err != nil {
		return refuse(conn, honeyant.E("pair.Raw", honeyant.Unavailable, "", err))
	}
	token := make([]byte, tokenSize)
	rand.Read(token)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer ln.Close()
	defer cancel()
	wg.Add(1)
	go func() {
		defer wg.Done()
		s.acceptRaw(ctx, ln, token, q.Streams, &wg)
	}()
	if err := writeMessage(conn, answer{Address: ln.Addr().String(), Token: token}); err != nil {
		return err
	}
	// Nothing more is said on conn: its end is the signal.
	conn.SetReadDeadline(time.Time{})
	_, err = conn.Read(make([]byte, 1))
	return err
}

func (s *Server) acceptRaw(ctx context.Context, ln net.Listener, token []byte, streams int, wg *sync.WaitGroup) {
	slots := make(chan struct{}, 2*streams)
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			got := make([]byte, tokenSize)
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.ReadFull(conn, got); err != nil || subtle.ConstantTimeCompare(got, token) != 1 {
				conn.Close()
				return
			}
			err := s.converse(ctx, conn, 0)
			s.o.Log.Debug("measuring stream ended", "from", conn.RemoteAddr(), "err", err)
		}()
	}
}

// ssh runs an sshd for as long as conn lives [P3].
func (s *Server) ssh(ctx context.Context, conn net.Conn) error {
	if s.o.SSH == nil {
		return refuse(conn, honeyant.E("pair.SSH", honeyant.Unsupported, "", errors.New("this node starts no sshd")))
	}
	login, stop, err := s.o.SSH(ctx)
	if err != nil {
		return writeMessage(conn, answer{Kind: honeyant.KindOf(err), Error: plain(err)})
	}
	if err := writeMessage(conn, answer{Login: &login}); err != nil {
		return errors.Join(err, stop())
	}
	conn.SetReadDeadline(time.Time{})
	_, err = conn.Read(make([]byte, 1))
	return errors.Join(err, stop())
}

// archive answers what is asked about the history.
func (s *Server) archive(ctx context.Context, conn net.Conn, peer honeyant.NodeID, q request) error {
	var a answer
	var err error
	switch q.Op {
	case opHistory:
		a.IDs, err = s.o.Archive.IDs()
	case opRun:
		a.Run, err = s.o.Archive.Find(q.ID)
	case opFetch:
		var n int
		n, err = s.o.Archive.Fetch(ctx, peer)
		a.Bytes = int64(n)
	}
	if err != nil {
		return refuse(conn, err)
	}
	return writeMessage(conn, a)
}

// work lets this node measure, and tells the steps. The caller's end cancels it [P3].
func (s *Server) work(ctx context.Context, cancel context.CancelFunc, conn net.Conn, q request) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return refuse(conn, honeyant.E("pair.Work", honeyant.Conflict, "", errors.New("another measurement is under way on this node; try again later")))
	}
	conn.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	go func() { // nothing is said until the answer: a read ends only with the connection
		defer close(gone)
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			cancel()
		}
	}()
	tell := func(step Step) {
		if err := writeMessage(conn, answer{Step: &step}); err != nil {
			cancel()
		}
	}
	var run *bench.Run
	var err error
	if q.Op == opPairs {
		run, err = s.o.Pairs(ctx, q.To, q.Work, tell)
	} else {
		run, err = s.o.Groups(ctx, q.Work, tell)
	}
	if err != nil {
		err = refuse(conn, err)
	} else {
		err = writeMessage(conn, answer{Run: run})
	}
	conn.SetReadDeadline(time.Now()) // one piece of work per connection
	<-gone
	return errors.Join(err, net.ErrClosed)
}
