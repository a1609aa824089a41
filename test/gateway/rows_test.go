package gateway_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// lines answers the lines of the gateway's log that have all of the words.
func (g *gateway) lines(words ...string) (found []string) {
next:
	for line := range strings.Lines(g.log.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

// The access log says of both sides which TLS was agreed, whether it was resumed, and how it was closed.
func TestTheAccessLogSaysHowTLSWentOnBothSides(t *testing.T) {
	t.Parallel()
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			c, b, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(b, "HTTP/1.1 200 OK\r\n\r\nhalf")
				b.Flush()
				c.(*tls.Conn).NetConn().Close() // no close_notify
			}
			return
		}
		io.WriteString(w, "ok")
	}))
	defer origin.Close()
	g := start(t, "\tlog\n\treverse_proxy https://"+origin.Listener.Addr().String()+" {\n\t\ttransport http {\n\t\t\ttls_insecure_skip_verify\n\t\t\tversions 1.1\n\t\t}\n\t}")
	client := httpClient(true, false)
	for _, path := range []string{"/first", "/second", "/cut"} {
		if resp, err := client.Get("https://" + g.address + path); err == nil {
			_, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if (err == nil) != (path != "/cut") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	client.CloseIdleConnections()
	for path, want := range map[string][]string{
		"/first":  {`"origin_tls":"TLS 1.3"`, `"origin_cipher":"TLS_`, `"origin_resumed":false`, `"origin_close":"kept"`, `"client_close":"kept"`, `"version":772`, `"cipher_suite":`, `"resumed":false`, `"t_first":`, `"t_last":`, `"t_total":`},
		"/second": {`"origin_reused":true`, `"origin_tls":"TLS 1.3"`},
		"/cut":    {`"origin_close":"eof"`, `"code":"GW2202"`},
	} {
		eventually(t, path+" is in the log", 5*time.Second, func() bool { return len(g.lines("handled request", `"uri":"`+path)) == 1 })
		line := g.lines("handled request", `"uri":"`+path)[0]
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("%s: no %s in %s", path, w, line)
			}
		}
	}
	// A client that says goodbye, and one that does not.
	for want, leave := range map[string]func(*tls.Conn){"close_notify": func(c *tls.Conn) { c.Close() }, "eof": func(c *tls.Conn) { c.NetConn().Close() }} {
		slow := start(t, "\tlog\n\treverse_proxy "+stalling(t))
		c, err := tls.Dial("tcp", slow.address, insecure())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /stall/left HTTP/1.1\r\nHost: %s\r\n\r\n", slow.address)
		eventually(t, "the request is there", 5*time.Second, func() bool { return strings.Contains(slow.must("ps", "--json"), "/stall/left") })
		leave(c)
		eventually(t, "the client's leaving is in the log", 5*time.Second, func() bool { return len(slow.lines("handled request", `"status":499`)) == 1 })
		if line := slow.lines("handled request")[0]; !strings.Contains(line, `"client_close":"`+want+`"`) {
			t.Errorf("no client_close %s in %s", want, line)
		}
	}
}

// The header log shows what was asked, what the origin said and what the client got, with the source of the type and no secrets.
func TestTheHeaderLogShowsWhatTheClientGot(t *testing.T) {
	t.Parallel()
	g := start(t, "\tlog_headers\n\treverse_proxy "+stalling(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.address+"/style.css?key=hidden1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer hidden2")
	req.Header.Set("Cookie", "a=hidden3")
	resp, err := httpClient(false, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	eventually(t, "the headers are in the log", 5*time.Second, func() bool { return len(g.lines(`"msg":"headers"`)) == 1 })
	line := g.lines(`"msg":"headers"`)[0]
	origin := regexp.MustCompile(`"origin":\{[^}]*\}`).FindString(line)
	if !strings.Contains(line, `"ct_source":"ext"`) || !strings.Contains(line, `"response":{`) || !strings.Contains(line, `"Content-Type":["text/css; charset=utf-8"]`) || strings.Contains(origin, "Content-Type") || origin == "" {
		t.Errorf("%s", line)
	}
	if strings.Contains(line, "hidden1") || strings.Contains(line, "hidden2") || strings.Contains(line, "hidden3") {
		t.Errorf("a secret is in %s", line)
	}
}

// Every deadline has a counter from the start on, and one that fires is counted under its name and side.
func TestEveryDeadlineIsCounted(t *testing.T) {
	t.Parallel()
	g := start(t, "\tdeadlines {\n\t\torigin_body_idle 200ms\n\t}\n\treverse_proxy "+stalling(t))
	out := g.must("metrics")
	for _, i := range ledger.LimitTable() {
		if line := fmt.Sprintf("gw_timeouts_total{phase=%q,side=%q} 0\n", string(i.Name), i.Side()); !strings.Contains(out, line) {
			t.Errorf("no %s", line)
		}
	}
	if resp, err := httpClient(false, false).Get("https://" + g.address + "/stall/1"); err == nil {
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the response looks complete")
		}
		resp.Body.Close()
	}
	eventually(t, "the deadline is counted", 5*time.Second, func() bool {
		return strings.Contains(g.must("metrics"), `gw_timeouts_total{phase="origin_body_idle",side="origin"} 1`+"\n")
	})
	if len(g.lines("GW2104", `"deadline":"origin_body_idle"`, `"limit_seconds":0.2`)) != 1 {
		t.Error("the deadline is not in the log once")
	}
}

// All stacks go to the log at a signal, and the process goes on.
func TestASignalDumpsAllStacksAndTheProcessGoesOn(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1))
	s := g.status()
	for i, signal := range []unix.Signal{unix.SIGQUIT, unix.SIGUSR1} {
		if err := unix.Kill(s.PID, signal); err != nil {
			t.Fatal(err)
		}
		eventually(t, signal.String()+" dumps", 10*time.Second, func() bool { return strings.Count(g.log.String(), "main.newRun") > i })
	}
	if err := ask(t.Context(), httpClient(false, false), http.MethodGet, "https://"+g.address+"/x", "served 1"); err != nil {
		t.Error(err)
	}
}

// The command line explains codes and words, says what it was built from, and how far process numbers go.
func TestTheCommandLineExplains(t *testing.T) {
	t.Parallel()
	g := &gateway{t: t, client: &control.Client{Dir: control.Dir(t.TempDir())}}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"help", "GW2104"}, []string{"GW2104", "origin_body_idle", "gateway/"}},
		{[]string{"help", "固まる"}, []string{"deadlines", "gateway ps"}},
		{[]string{"help", "keep"}, []string{"keepalive"}},
		{[]string{"help", "content-type"}, []string{"content_type"}},
		{[]string{"version", "-v"}, []string{"CGO_ENABLED=", "github.com/caddyserver/caddy/v2 v2."}},
		{[]string{"version", "--json"}, []string{`"go": "go1.`, `"build"`}},
	} {
		out := g.must(c.args...)
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %q in %s", c.args, w, out)
			}
		}
	}
}

// The table of doc/gateway.md that says what is tested where names tests that exist.
func TestTheDocumentNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "doc", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, root := range []string{".", filepath.Join("..", "..", "gateway")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
				defined[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(text, -1)
	if len(named) < 30 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !defined[string(m[1])] {
			t.Errorf("there is no %s", m[1])
		}
	}
}
