package gateway_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant/gateway/control"
)

// soakVariable says how long the soak lasts, such as 5m. It is no test of its own without.
const soakVariable = "HONEYANT_GATEWAY_SOAK"

// resident is the memory of the running process in KiB.
func (g *gateway) resident() int {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.status().PID))
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				g.t.Fatal(err)
			}
			return n
		}
	}
	g.t.Fatal("no VmRSS")
	return 0
}

// rude is a client that does one rude thing to the gateway, and leaves.
type rude struct {
	name string
	play func(g *gateway, n int) error
}

func dialTLS(g *gateway, next ...string) (*tls.Conn, error) {
	config := insecure()
	config.NextProtos = next
	return tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", g.address, config)
}

// send makes a TLS connection, writes text, reads so many bytes and leaves, with a reset if hard.
func send(g *gateway, text string, read int, hard bool) error {
	return sendAnd(g, text, read, func(c *tls.Conn) error {
		if hard {
			return c.NetConn().(*net.TCPConn).SetLinger(0)
		}
		return nil
	})
}

// sendAnd is send that does something else before it leaves.
func sendAnd(g *gateway, text string, read int, last func(*tls.Conn) error) error {
	c, err := dialTLS(g)
	if err != nil {
		return err
	}
	defer c.NetConn().Close() // without close_notify
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text)
	io.ReadFull(c, make([]byte, read)) // as much as comes: the gateway may end it
	return last(c)
}

// dropped waits until the gateway has given the connection up, without touching it.
func (g *gateway) dropped(c *tls.Conn) error {
	own := c.LocalAddr().String()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		rows, err := g.client.Entries(g.t.Context(), nil)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rows, func(r control.Row) bool { return r.Client == own }) {
			return nil
		}
	}
	return errors.New("it is still held")
}

var rudes = []rude{
	{"aborts a download", func(g *gateway, n int) error {
		return send(g, fmt.Sprintf("GET /flood/%d HTTP/1.1\r\nHost: %s\r\n\r\n", n, g.address), 100<<10, n%2 == 0)
	}},
	{"waits for an origin that stalls", func(g *gateway, n int) error {
		return send(g, fmt.Sprintf("GET /stall/%d HTTP/1.1\r\nHost: %s\r\n\r\n", n, g.address), 1<<20, false)
	}},
	{"leaves an origin that stalls", func(g *gateway, n int) error {
		return send(g, fmt.Sprintf("GET /stall/%d HTTP/1.1\r\nHost: %s\r\n\r\n", n, g.address), 20, true)
	}},
	{"reads no more", func(g *gateway, n int) error {
		return sendAnd(g, fmt.Sprintf("GET /flood/%d HTTP/1.1\r\nHost: %s\r\n\r\n", n, g.address), 1, g.dropped)
	}},
	{"sends half a header", func(g *gateway, n int) error { return send(g, "GET /x HTTP/1.1\r\nHo", 1, n%2 == 0) }},
	{"sends half a body", func(g *gateway, n int) error {
		return send(g, fmt.Sprintf("POST /x HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000\r\n\r\nxyz", g.address), 1<<10, n%2 == 0)
	}},
	{"makes half a handshake", func(g *gateway, _ int) error {
		c, err := net.Dial("tcp", g.address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		c.Write([]byte{22, 3, 1, 2, 0, 1})
		c.Read(make([]byte, 1)) // until the gateway ends it
		return nil
	}},
	{"resets streams of HTTP/2", func(g *gateway, n int) error {
		client := httpClient(true, true)
		defer client.CloseIdleConnections()
		for i := range 10 {
			resp, err := client.Get(fmt.Sprintf("https://%s/flood/%d", g.address, n+i))
			if err != nil {
				return err
			}
			io.CopyN(io.Discard, resp.Body, 50<<10)
			resp.Body.Close()
		}
		return nil
	}},
	{"is polite", func(g *gateway, _ int) error {
		client := httpClient(true, false)
		defer client.CloseIdleConnections()
		for range 50 {
			if err := ask(g.t.Context(), client, http.MethodGet, "https://"+g.address+"/x", "body"); err != nil {
				return err
			}
		}
		return nil
	}},
}

// Aborts and stalls of every kind, again and again: after each round connections, descriptors and goroutines are where they
// were, and memory does not grow from the first third of the time to the last.
func TestSoak(t *testing.T) {
	span, err := time.ParseDuration(os.Getenv(soakVariable))
	if err != nil {
		t.Skipf("%s says how long, such as 5m (make gateway-soak)", soakVariable)
	}
	site := "\tdeadlines {\n\t\torigin_body_idle 1s\n\t\tclient_send_idle 1s\n\t\tclient_body_idle 1s\n\t}\n\treverse_proxy " + stalling(t) + " {\n\t\ttransport honeyant {\n\t\t\tquirks {\n\t\t\t\tidle 1s\n\t\t\t}\n\t\t}\n\t}\n\tlog {\n\t\toutput discard\n\t}"
	short := strings.Replace(globals, "{\n", "{\n\tlog {\n\t\tlevel ERROR\n\t}\n", 1)
	g := startWith(t, short, site)
	type sample struct{ fds, goroutines, kib int }
	var samples []sample
	played := 0
	var asked, failed atomic.Int64
	for end := time.Now().Add(span); time.Now().Before(end); {
		var all sync.WaitGroup
		for round := range 6 {
			for i, r := range rudes {
				all.Go(func() {
					asked.Add(1)
					if err := r.play(g, played+round*len(rudes)+i); err != nil {
						t.Logf("the client that %s: %v", r.name, err)
						failed.Add(1)
					}
				})
			}
		}
		all.Wait()
		played += 6 * len(rudes)
		eventually(t, "a round is over", 30*time.Second, func() bool { _, _, n := g.held(); return n == 0 })
		fds, goroutines, _ := g.held()
		samples = append(samples, sample{fds, goroutines, g.resident()})
		if t.Failed() {
			break
		}
	}
	// On a machine that is too busy a handshake may take longer than its limit.
	if n := failed.Load(); n*100 > asked.Load() {
		t.Errorf("%d of %d clients were not served", n, asked.Load())
	}
	const slack = 3
	third := max(1, len(samples)/3)
	median := func(of []sample) int {
		all := make([]int, 0, len(of))
		for _, s := range of {
			all = append(all, s.kib)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	first, last := median(samples[:third]), median(samples[len(samples)-third:])
	t.Logf("%d clients in %d rounds; descriptors %d to %d, goroutines %d to %d, memory %d to %d KiB (medians of thirds)", played, len(samples),
		samples[0].fds, samples[len(samples)-1].fds, samples[0].goroutines, samples[len(samples)-1].goroutines, first, last)
	for i, s := range samples {
		if s.fds > samples[0].fds+slack || s.goroutines > samples[0].goroutines+slack {
			t.Errorf("round %d: %d descriptors and %d goroutines, the first had %d and %d", i+1, s.fds, s.goroutines, samples[0].fds, samples[0].goroutines)
		}
	}
	if last > first+first/20+4<<10 {
		t.Errorf("memory grew from %d to %d KiB", first, last)
	}
}
