package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// stalling is an origin that answers "/stall..." with a part of what it promises, "/flood..." without an end, and all else at once.
func stalling(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/stall"):
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Content-Type", "application/pdf")
			io.WriteString(w, "a part")
			w.(http.Flusher).Flush()
			select {
			case <-quit:
			case <-r.Context().Done():
			}
		case strings.HasPrefix(r.URL.Path, "/flood"):
			piece := bytes.Repeat([]byte("x"), 32<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		default:
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "body { color: red }")
		}
	})}
	go server.Serve(ln)
	t.Cleanup(func() { close(quit); server.Close() })
	return ln.Addr().String()
}

func TestAStalledRequestIsListedExplainedAndKilled(t *testing.T) {
	t.Parallel()
	origin := stalling(t)
	g := start(t, "\tdeadlines {\n\t\torigin_body_idle 60s\n\t\troute slow\n\t}\n\treverse_proxy "+origin)
	c, err := tls.Dial("tcp", g.address, insecure())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	fmt.Fprintf(c, "GET /stall/x.pdf HTTP/1.1\r\nHost: %s\r\n\r\n", g.address)
	var rows []control.Row
	eventually(t, "the stalled request is listed", 10*time.Second, func() bool {
		rows = decode[[]control.Row](t, g.must("ps", "--json", "--phase", "origin-read"))
		return len(rows) == 1
	})
	e := rows[0]
	if most := time.Since(began).Seconds(); e.AgeSeconds < 0 || e.AgeSeconds > most || most-time.Since(e.Started).Seconds() > 1 {
		t.Errorf("age %.1f s since %s, asked %.1f s ago", e.AgeSeconds, e.Started, most)
	}
	if e.Path != "/stall/x.pdf" || e.Origin != origin || e.Route != "slow" || e.Deadline == nil || e.Deadline.LimitSeconds != 60 || e.Status != 200 {
		t.Errorf("%+v", e)
	}
	if out := g.must("why", e.ID.String()); !strings.HasPrefix(out, "waiting for origin body, idle ") || !strings.Contains(out, ", limit 60 s\n") {
		t.Errorf("why: %s", out)
	}
	if out := g.must("stack", e.ID.String()); !strings.Contains(out, "reverseproxy") && !strings.Contains(out, "gateway/") {
		t.Errorf("stack: %s", out)
	}
	if out := g.must("stack"); !strings.Contains(out, "goroutine ") {
		t.Errorf("stack of all: %.200s", out)
	}
	if out := g.must("stats", "--by", "type,size,origin"); !strings.Contains(out, "application/pdf") || !strings.Contains(out, origin) {
		t.Errorf("stats: %s", out)
	}
	if out := g.must("stats", "--hung", "--by", "type,size,origin"); strings.Contains(out, "application/pdf") {
		t.Errorf("a request that has just begun hangs: %s", out)
	}
	g.must("kill", e.ID.String(), "--reason", "test")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && resp.StatusCode == http.StatusOK {
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("the client took %q for the whole", body)
		}
	}
	eventually(t, "the killed request has left the list", 5*time.Second, func() bool { return strings.TrimSpace(g.must("ps", "--json")) == "[]" })
	if out := g.must("why", e.ID.String()); !strings.Contains(out, "GW1202") {
		t.Errorf("why of a killed one: %s", out)
	}
	for _, args := range [][]string{{"why", "999999"}, {"kill", "999999"}} {
		if code, out := g.run(args...); code != 1 || !strings.Contains(out, ledger.ErrGone.Error()) {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	for _, args := range [][]string{{"why", "x"}, {"ps", "--sort", "x"}, {"ps", "--phase", "x"}, {"ps", "--idle", "x"}, {"stats", "--by", "x"}, {"run"}, {"run", "--site", "a"}, {"stop", "--escalate", "x"}, {"fly"}} {
		if code, out := g.run(args...); code != 2 {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
}

func TestDiffShowsWhatWasAdded(t *testing.T) {
	t.Parallel()
	g := start(t, "\treverse_proxy "+stalling(t))
	out := g.must("diff", "https://"+g.address+"/style.css")
	if !strings.Contains(out, "Content-Type") || !strings.Contains(out, "text/css") {
		t.Errorf("%s", out)
	}
}

// descriptors, goroutines and connections of the running process.
func (g *gateway) held() (fds, goroutines, connections int) {
	g.t.Helper()
	s := g.status()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
	if err != nil {
		g.t.Fatal(err)
	}
	var all strings.Builder
	if err := g.client.Stack(g.t.Context(), 0, &all); err != nil {
		g.t.Fatal(err)
	}
	return len(entries), strings.Count("\n"+all.String(), "\ngoroutine "), s.Counts.Connections
}

// Downloads that their clients give up midway leave nothing behind.
func TestKilledDownloadsLeaveNothingBehind(t *testing.T) {
	g := start(t, "\treverse_proxy "+stalling(t))
	downloads := 100
	if long() {
		downloads = 1000
	}
	kill := func(n int) {
		for i := range n {
			c, err := tls.Dial("tcp", g.address, insecure())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "GET /flood/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, g.address)
			if _, err := io.ReadFull(c, make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				c.NetConn().(*net.TCPConn).SetLinger(0)
			}
			c.NetConn().Close()
		}
	}
	kill(5) // what is made once is made
	eventually(t, "the first ones have gone", 5*time.Second, func() bool { _, _, n := g.held(); return n == 0 })
	fds, goroutines, _ := g.held()
	kill(downloads)
	const slack = 3
	eventually(t, "all is as it was", 5*time.Second, func() bool {
		f, r, n := g.held()
		return n == 0 && f <= fds+slack && r <= goroutines+slack
	})
}

func TestTheSelftestIsSurvived(t *testing.T) {
	t.Parallel()
	g := &gateway{t: t, client: &control.Client{Dir: control.Dir(t.TempDir())}}
	args, want := []string{"selftest"}, "29 of 29 survived"
	if testing.Short() { // those that need not wait for a limit
		args, want = append(args, "--only", "1,5,6,7,8,9,12,14,15,16,17,18,19,20,21,24,25,26,27,29,30"), "21 of 21 survived"
	}
	out := g.must(args...)
	if !strings.Contains(out, want) {
		t.Errorf("%s", out)
	}
}
