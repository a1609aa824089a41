package pair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/bench"
)

// Way is the path to another node, as this node knows it.
type Way struct {
	Peer    bench.Peer
	Address string // host:port of the other node's one port
	// Dial makes an authenticated connection to the other node's Server.
	Dial   func(ctx context.Context) (net.Conn, error)
	Groups []string // net, ssh; default net
	Dir    string   // of this node, for keys of ssh
	Gentle bool
	Full   bool // 10 s a sample instead of 1
}

// measuring is one way being measured.
type measuring struct {
	Way
	length, warm time.Duration // of streams
	tell         func(Step)
	results      []bench.Result
	skipped      []bench.Skip
	source       *bench.Source
}

// Measure measures a way. What can not be measured is skipped with its reason; if the other
// node does not answer at all, everything is. The error is that of ctx only.
func Measure(ctx context.Context, w Way, tell func(Step)) ([]bench.Result, []bench.Skip, error) {
	m := &measuring{Way: w, length: time.Second, warm: 500 * time.Millisecond, tell: tell, source: bench.NewSource()}
	if w.Full {
		m.length, m.warm = 10*time.Second, 3*time.Second
	}
	return m.run(ctx)
}

func (m *measuring) run(ctx context.Context) ([]bench.Result, []bench.Skip, error) {
	var steps []func(context.Context) error
	if len(m.Groups) == 0 || slices.Contains(m.Groups, "net") {
		steps = append(steps, m.connects, m.handshakes, m.roundTrips, m.clocks, m.secure, m.plain)
	}
	if slices.Contains(m.Groups, "ssh") {
		steps = append(steps, m.ssh)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return m.results, m.skipped, err
		}
	}
	return m.results, m.skipped, ctx.Err()
}

// take makes one trial; an error that is not of ctx becomes a Skip.
func (m *measuring) take(ctx context.Context, t bench.Trial) error {
	peer := m.Peer
	t.Peer, t.Gentle = &peer, m.Gentle
	m.tell(Step{Node: m.Peer.From, Text: t.Name + " to " + m.Peer.To})
	r, err := t.Run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		m.skip(t.Name, err)
		return nil
	}
	m.results = append(m.results, r)
	m.tell(Step{Node: m.Peer.From, Text: t.Name + " to " + m.Peer.To, Result: &r})
	return nil
}

func (m *measuring) skip(name string, err error) {
	peer := m.Peer
	m.skipped = append(m.skipped, bench.Skip{Name: name, Peer: &peer, Reason: err.Error()})
}

// The numbers of single operations in a sample; there are five samples.
const (
	connectsEach = 40
	tripsEach    = 100
)

// dialWait bounds a connection.
const dialWait = 10 * time.Second

// each repeats op n times and returns the median in ms.
func each(ctx context.Context, n int, observe func(time.Duration), op func(context.Context) error) (float64, error) {
	times := make([]time.Duration, 0, n)
	for range n {
		one, cancel := context.WithTimeout(ctx, dialWait)
		at := time.Now()
		err := op(one)
		cancel()
		if err != nil {
			return 0, err
		}
		d := time.Since(at)
		observe(d)
		times = append(times, d)
	}
	return bench.MedianOf(times), nil
}

func (m *measuring) connects(ctx context.Context) error {
	return m.take(ctx, bench.Trial{Name: "net.connect", Unit: "ms", Warm: time.Millisecond,
		Sample: func(ctx context.Context, _ time.Duration, observe func(time.Duration)) (float64, error) {
			var d net.Dialer
			return each(ctx, connectsEach, observe, func(ctx context.Context) error {
				conn, err := d.DialContext(ctx, "tcp", m.Address)
				if err != nil {
					return err
				}
				return conn.Close()
			})
		}})
}

func (m *measuring) handshakes(ctx context.Context) error {
	return m.take(ctx, bench.Trial{Name: "net.handshake", Unit: "ms", Warm: time.Millisecond,
		Sample: func(ctx context.Context, _ time.Duration, observe func(time.Duration)) (float64, error) {
			return each(ctx, connectsEach/4, observe, func(ctx context.Context) error {
				conn, err := m.Dial(ctx)
				if err != nil {
					return err
				}
				return conn.Close()
			})
		}})
}

// dial connects within dialWait.
func (m *measuring) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	return m.Dial(ctx)
}

func (m *measuring) roundTrips(ctx context.Context) error {
	conn, err := m.dial(ctx)
	if err == nil {
		defer conn.Close()
		_, err = ask(conn, request{Op: opEcho})
	}
	if err != nil {
		m.skip("net.rtt", err)
		return ctx.Err()
	}
	b := []byte{1}
	return m.take(ctx, bench.Trial{Name: "net.rtt", Unit: "ms", Warm: time.Millisecond,
		Sample: func(ctx context.Context, _ time.Duration, observe func(time.Duration)) (float64, error) {
			return each(ctx, tripsEach, observe, func(context.Context) error {
				conn.SetDeadline(time.Now().Add(dialWait))
				if _, err := conn.Write(b); err != nil {
					return err
				}
				_, err := io.ReadFull(conn, b)
				return err
			})
		}})
}

// clockAsks is of how many round trips the shortest counts.
const clockAsks = 20

// clocks measures how far the other node's clock is from this one's: Cristian's method
// (Distributed Computing 3, 1989). Half the round trip is how far it may be wrong.
func (m *measuring) clocks(ctx context.Context) error {
	conn, err := m.dial(ctx)
	if err != nil {
		m.skip("net.clock", err)
		return ctx.Err()
	}
	defer conn.Close()
	var ahead, doubt time.Duration
	return m.take(ctx, bench.Trial{Name: "net.clock", Warm: time.Millisecond,
		Sample: func(context.Context, time.Duration, func(time.Duration)) (float64, error) {
			for i := range clockAsks {
				at := time.Now()
				a, err := ask(conn, request{Op: opTime})
				if err != nil {
					return 0, err
				}
				trip := time.Since(at)
				if i == 0 || trip/2 < doubt {
					ahead, doubt = time.Unix(0, a.Clock).Sub(at.Add(trip/2)), trip/2
				}
			}
			return math.Abs(ahead.Seconds() * 1e3), nil
		},
		Finish: func(r *bench.Result) {
			r.Also = append(r.Also, bench.Also{Name: "ahead", Value: ahead.Seconds() * 1e3, Unit: "ms"}, bench.Also{Name: "doubt", Value: doubt.Seconds() * 1e3, Unit: "ms"})
		}})
}

// many is how many streams the second measurement of each kind has.
const many = 8

// secure measures streams over the colony's port.
func (m *measuring) secure(ctx context.Context) error {
	return m.streams(ctx, "net.tls.", func(ctx context.Context) (net.Conn, error) { return m.dial(ctx) })
}

// plain measures streams without TLS, on a port that the other node opens for them.
func (m *measuring) plain(ctx context.Context) error {
	both := func(err error) error {
		m.skip("net.tcp.1", err)
		m.skip("net.tcp.8", err)
		return ctx.Err()
	}
	control, err := m.dial(ctx)
	if err != nil {
		return both(err)
	}
	defer control.Close()
	a, err := ask(control, request{Op: opRaw, Streams: many + 1})
	if err != nil {
		return both(err)
	}
	host, _, err := net.SplitHostPort(m.Address)
	if err != nil {
		return both(err)
	}
	_, port, err := net.SplitHostPort(a.Address)
	if err != nil {
		return both(err)
	}
	connect := func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: 3 * time.Second}
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write(a.Token); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
	first, err := connect(ctx)
	if err != nil {
		return both(fmt.Errorf("only the colony's port can be reached there (a firewall?), so there is no figure without TLS: %w", err))
	}
	first.Close()
	return m.streams(ctx, "net.tcp.", connect)
}

// streams measures one and many connections at once.
func (m *measuring) streams(ctx context.Context, prefix string, connect func(context.Context) (net.Conn, error)) error {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for _, n := range []int{1, many} {
		name := prefix + strconv.Itoa(n)
		var fault error
		for len(conns) < n && fault == nil {
			var c net.Conn
			if c, fault = connect(ctx); fault == nil {
				conns = append(conns, c)
			}
		}
		if fault != nil {
			m.skip(name, fault)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		before := retransmits(conns)
		if err := m.take(ctx, bench.Trial{Name: name, Length: m.length, Warm: m.warm, Params: map[string]string{"streams": strconv.Itoa(n)},
			Sample: func(ctx context.Context, d time.Duration, _ func(time.Duration)) (float64, error) {
				return m.pour(ctx, conns, d)
			},
			Finish: func(r *bench.Result) {
				m.source.Finish(r)
				r.Also = append(r.Also, bench.Also{Name: "mbit", Value: 8 * r.Median, Unit: "Mbit/s"}, bench.Also{Name: "own_cpu", Value: r.During.OwnPct, Unit: "%"})
				if after := retransmits(conns); after >= before && before >= 0 {
					r.Also = append(r.Also, bench.Also{Name: "retransmits", Value: float64(after - before), Unit: "segments"})
				}
			}}); err != nil {
			return err
		}
	}
	return nil
}

// pour sends over all connections at once and adds up what the other end counted.
func (m *measuring) pour(ctx context.Context, conns []net.Conn, d time.Duration) (float64, error) {
	rates, faults := make([]float64, len(conns)), make([]error, len(conns))
	var wg sync.WaitGroup
	for i, conn := range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if faults[i] = writeMessage(conn, request{Op: opReceive}); faults[i] != nil {
				return
			}
			if faults[i] = m.source.Send(ctx, conn, d); faults[i] != nil {
				return
			}
			var a answer
			if faults[i] = readAnswer(conn, answerWait, &a); faults[i] == nil && a.Nanos > 0 {
				rates[i] = float64(a.Bytes) / 1e6 / time.Duration(a.Nanos).Seconds()
			}
		}()
	}
	wg.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum, errors.Join(faults...)
}

// retransmits counts the segments that TCP sent again, -1 if the connections hide that.
func retransmits(conns []net.Conn) int64 {
	sum := int64(0)
	for _, c := range conns {
		s, ok := c.(syscall.Conn)
		if !ok {
			return -1
		}
		raw, err := s.SyscallConn()
		if err != nil {
			return -1
		}
		if err := raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				sum += int64(info.Total_retrans)
			}
		}); err != nil {
			return -1
		}
	}
	return sum
}

// Estimate is what the measurement of one way uses, from above: a link of 1 Gbit/s.
func Estimate(groups []string, full, gentle bool) bench.Use {
	length, warm := time.Second, 500*time.Millisecond
	if full {
		length, warm = 10*time.Second, 3*time.Second
	}
	lasts := time.Duration(0)
	if len(groups) == 0 || slices.Contains(groups, "net") {
		lasts += 4 * (5*length + warm)
	}
	if slices.Contains(groups, "ssh") {
		sample := 300 * time.Millisecond
		if full {
			sample = 2 * time.Second
		}
		const ciphersAndMore = 9
		lasts += ciphersAndMore * 6 * (sample + 200*time.Millisecond)
	}
	use := bench.Use{Group: "net", NetBytes: int64(lasts.Seconds() * 125e6), Lasts: lasts + 5*time.Second, CPU: lasts}
	if gentle {
		use.Lasts *= 4
	}
	return use
}
