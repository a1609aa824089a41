// Package gateway_test runs the gateway's program as its users do: with loads, reloads, swaps and kills. The long
// runs are those of `make gateway`.
package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/honeyant/honeyant/gateway/control"
)

// program is the gateway, built by TestMain.
var program string

// long tells that the run may take minutes.
func long() bool { return os.Getenv("HONEYANT_GATEWAY_LONG") != "" }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "honeyant-gateway-test-")
	if err == nil {
		program = filepath.Join(dir, "honeyant-gateway")
		build := exec.Command("go", "build", "-o", program, "github.com/honeyant/honeyant/cmd/honeyant-gateway")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// gateway is a running one.
type gateway struct {
	t       *testing.T
	dir     string
	config  string // the Caddyfile
	globals string // of the Caddyfile
	address string
	log     *lockedBuffer
	client  *control.Client
}

// lockedBuffer collects what processes write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const globals = "{\n\tadmin off\n\tpersist_config off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"

// start runs a gateway for site, the inside of a site block, on https://127.0.0.1:port with a certificate of its own authority.
func start(t *testing.T, site string, flags ...string) *gateway {
	t.Helper()
	return startWith(t, globals, site, flags...)
}

// startWith is start with other global options.
func startWith(t *testing.T, globals, site string, flags ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), address: free(t), log: &lockedBuffer{}, globals: globals}
	g.config = filepath.Join(g.dir, "Caddyfile")
	g.write(site)
	g.client = &control.Client{Dir: control.Dir(filepath.Join(g.dir, "control"))}
	// The log goes through a pipe to this process, since successors inherit it and outlive the first.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() { io.Copy(g.log, r); close(copied) }()
	cmd := exec.Command(program, append([]string{"run", "--config", g.config, "--control", string(g.client.Dir)}, flags...)...)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+g.dir, "XDG_CONFIG_HOME="+g.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	waited := make(chan struct{})
	go func() { cmd.Wait(); close(waited) }()
	t.Cleanup(func() {
		if code, out := g.run("stop", "--escalate", "TERM:5s,INT:2s,KILL"); code != 0 && code != 3 {
			t.Errorf("stop: exit code %d: %s", code, out)
		}
		<-waited
		r.SetReadDeadline(time.Now().Add(5 * time.Second))
		<-copied
		r.Close()
		if t.Failed() {
			t.Log(g.log.String())
		}
	})
	g.await()
	return g
}

func (g *gateway) write(site string) {
	g.t.Helper()
	if err := os.WriteFile(g.config, []byte(g.globals+"https://"+g.address+" {\n\ttls internal\n"+site+"\n}\n"), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// free is an address that nobody listens on. Not one that the kernel picks: it would give the same one to the next
// connection of anybody, as the own end of it.
func free(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))
		if ln, err := net.Listen("tcp", address); err == nil {
			_ = ln.Close() // to be listened on by the gateway
			return address
		}
	}
	t.Fatal("no free port found")
	return ""
}

// eventually waits until ok, which is asked again and again.
func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// status is that of the running process.
func (g *gateway) status() control.Status {
	g.t.Helper()
	s, err := g.client.Status(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func (g *gateway) await() {
	g.t.Helper()
	eventually(g.t, "the gateway serves", 30*time.Second, func() bool {
		c, err := tls.Dial("tcp", g.address, insecure())
		if err != nil {
			return false
		}
		c.Close()
		_, err = g.client.Current()
		return err == nil
	})
}

// need answers where the programs are that a test uses, or skips it.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"} }

// run calls the command line.
func (g *gateway) run(args ...string) (code int, out string) {
	cmd := exec.Command(program, append(args, "--control", string(g.client.Dir))...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), string(text)
	case err != nil:
		return -1, err.Error()
	}
	return 0, string(text)
}

func (g *gateway) must(args ...string) string {
	g.t.Helper()
	code, out := g.run(args...)
	if code != 0 {
		g.t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// httpClient makes one; it does not repeat anything by itself if requests are POSTs.
func httpClient(keepAlive, h2 bool) *http.Client {
	tr := &http.Transport{TLSClientConfig: insecure(), DisableKeepAlives: !keepAlive, ForceAttemptHTTP2: h2, DisableCompression: true}
	if !h2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// ask makes one request and wants the whole body.
func ask(ctx context.Context, c *http.Client, method, url, want string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	if method == http.MethodPost {
		// Over HTTP/1.1 it can not be sent twice. Over HTTP/2 a GOAWAY says which requests were not begun, and a client may repeat those.
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("x")), 1
		req.GetBody = nil
		if tr, ok := c.Transport.(*http.Transport); ok && tr.ForceAttemptHTTP2 {
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), want)) {
		err = fmt.Errorf("%s: %q", resp.Status, body)
	}
	return err
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}
