package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/honeyant/honeyant/gateway"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// book is the ledger of this process: Caddy has one set of modules in a process.
var book = ledger.New(0)

func TestMain(m *testing.M) {
	gateway.Register(gateway.Parts{Ledger: book})
	os.Exit(m.Run())
}

// free is an address that nobody listens on at the moment.
func free(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// load runs a Caddyfile whose sites are on the address that is its first word ADDR.
func load(t *testing.T, caddyfile string) (addr string) {
	t.Helper()
	addr = free(t)
	reload(t, addr, caddyfile)
	t.Cleanup(func() { stopCaddy(t) })
	return addr
}

func stopCaddy(t *testing.T) {
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
}

func reload(t *testing.T, addr, caddyfile string) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\toutput discard\n\t}\n\tdefault_bind 127.0.0.1\n\tauto_https off\n\tgrace_period 5s\n\tstorage file_system %s\n}\n%s", t.TempDir(), strings.ReplaceAll(caddyfile, "ADDR", "http://:"+port))
	config, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	if err = caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
}

func adapt(text string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	return gateway.Complete(config)
}

// recorder is an origin that remembers what it was asked.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newOrigin(t *testing.T, h http.HandlerFunc) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, q.Method+" "+q.URL.Path)
		r.mu.Unlock()
		h(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

func get(t *testing.T, method, url string, headers ...string) *http.Response {
	t.Helper()
	q, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// noType sends a body without a Content-Type.
func noType(w http.ResponseWriter, body []byte, r *http.Request) {
	w.Header()["Content-Type"] = nil
	http.ServeContent(noTypeWriter{w}, r, "", time.Time{}, bytes.NewReader(body))
}

type noTypeWriter struct{ http.ResponseWriter }

func (w noTypeWriter) WriteHeader(status int) {
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/") {
		w.Header()["Content-Type"] = nil
	}
	w.ResponseWriter.WriteHeader(status)
}

func TestMissingContentTypes(t *testing.T) {
	pdf := append([]byte("%PDF-1.7\n"), make([]byte, 2000)...)
	text := bytes.Repeat([]byte("All rights reserved.\n"), 100)
	bodies := map[string][]byte{
		"/setup.exe": {0x4d, 0x5a, 0, 1}, "/a.pdf": pdf, "/a.tar.gz": {0x1f, 0x8b, 8}, "/COPYRIGHT": text, "/style.css": []byte("a{}"), "/page.html": []byte("<p>"),
		"/unknown": {0, 1, 2, 3}, "/manual": pdf, "/evil": []byte("<html><script>alert(1)</script></html>" + strings.Repeat(" ", 100)),
		"/evil-svg": []byte("<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"), "/IMAGE.PNG": {1},
	}
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/given":
			w.Header().Set("Content-Type", "application/x-mine")
			w.Write(text)
		case "/download":
			w.Header().Set("Content-Disposition", `attachment; filename="report.pdf"`)
			noType(w, text, r)
		default:
			noType(w, bodies[r.URL.Path], r)
		}
	})
	addr := load(t, "ADDR {\n\treverse_proxy "+o.URL+"\n}\n")
	for _, test := range []struct{ path, want string }{
		{"/setup.exe", "application/vnd.microsoft.portable-executable"}, {"/a.pdf", "application/pdf"}, {"/a.tar.gz", "application/gzip"},
		{"/COPYRIGHT", "text/plain; charset=utf-8"}, {"/style.css", "text/css; charset=utf-8"}, {"/page.html", "text/html; charset=utf-8"},
		{"/unknown", "application/octet-stream"}, {"/manual", "application/pdf"}, {"/evil", "text/plain; charset=utf-8"}, {"/evil-svg", "text/plain; charset=utf-8"},
		{"/IMAGE.PNG", "image/png"}, {"/given", "application/x-mine"}, {"/download", "application/pdf"},
	} {
		full := get(t, "GET", "http://"+addr+test.path)
		body, err := io.ReadAll(full.Body)
		if full.Header.Get("Content-Type") != test.want || err != nil {
			t.Errorf("GET %s: %q, %v; want %q", test.path, full.Header.Get("Content-Type"), err, test.want)
		}
		if want, ok := bodies[test.path]; ok && !bytes.Equal(body, want) {
			t.Errorf("GET %s: %d bytes, want %d", test.path, len(body), len(want))
		}
		if sniffing := full.Header.Get("X-Content-Type-Options"); (sniffing == "nosniff") == (test.path == "/given") {
			t.Errorf("GET %s: X-Content-Type-Options %q", test.path, sniffing)
		}
		if head := get(t, "HEAD", "http://"+addr+test.path); head.Header.Get("Content-Type") != test.want {
			t.Errorf("HEAD %s: %q, GET has %q", test.path, head.Header.Get("Content-Type"), test.want)
		}
	}
	if part := get(t, "GET", "http://"+addr+"/manual", "Range", "bytes=1000-1010"); part.StatusCode != 206 || part.Header.Get("Content-Type") != "application/pdf" {
		t.Errorf("a range: %d %q", part.StatusCode, part.Header.Get("Content-Type"))
	}
}

// A response that has no body gets no type.
func TestNoBodyNoType(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNoContent
		if r.URL.Path == "/304" {
			w.Header().Set("ETag", `"1"`)
			status = http.StatusNotModified
		}
		w.WriteHeader(status)
	})
	addr := load(t, "ADDR {\n\treverse_proxy "+o.URL+"\n}\n")
	for _, path := range []string{"/204", "/304"} {
		if resp := get(t, "GET", "http://"+addr+path, "If-None-Match", `"1"`); resp.Header.Get("Content-Type") != "" {
			t.Errorf("%s has type %q", path, resp.Header.Get("Content-Type"))
		}
	}
}

func TestMountMapsBothWays(t *testing.T) {
	var o *recorder
	o = newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", o.URL+"/y/next?a=b")
		w.Header().Add("Set-Cookie", "s=1; Path=/y/; Domain=127.0.0.1")
		w.Header().Set("X-Host", r.Host)
		w.WriteHeader(http.StatusFound)
	})
	addr := load(t, "ADDR {\n\tmount /x/* "+o.URL+"/y/* {\n\t\theader_down X-Mine yes\n\t\ttransport honeyant {\n\t\t\tquirks {\n\t\t\t\tno_keepalive\n\t\t\t\tresponse drop X-Host\n\t\t\t}\n\t\t}\n\t}\n\trespond 404\n}\n")
	resp := get(t, "GET", "http://"+addr+"/x/a/b")
	if got := resp.Header.Get("Location"); got != "/x/next?a=b" {
		t.Errorf("Location %q", got)
	}
	if got := resp.Header.Get("Set-Cookie"); got != "s=1; Path=/x/" {
		t.Errorf("Set-Cookie %q", got)
	}
	if resp.Header.Get("X-Mine") != "yes" || resp.Header.Get("X-Host") != "" {
		t.Errorf("the block of the mount was not used: %v", resp.Header)
	}
	if got := get(t, "GET", "http://"+addr+"/x/../secret"); got.StatusCode != 404 {
		t.Errorf("a path that leads out has status %d", got.StatusCode)
	}
	if seen := o.seen(); len(seen) != 1 || seen[0] != "GET /y/a/b" {
		t.Errorf("the origin was asked %v", seen)
	}
}

// Downloads killed midway leave nothing: connections, requests and descriptors are at base soon.
func TestKilledDownloadsLeaveNothing(t *testing.T) {
	piece := make([]byte, 64<<10)
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1073741824")
		for range 1 << 14 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	addr := load(t, "ADDR {\n\treverse_proxy "+o.URL+"\n}\n")
	count := 1000
	if testing.Short() {
		count = 100
	}
	base := descriptors(t)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 20)
	for range count {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
			io.CopyN(io.Discard, c, 200_000)
		})
	}
	wg.Wait()
	deadline := time.Now().Add(5 * time.Second)
	for {
		left, files := book.List(ledger.Filter{}), descriptors(t)
		if len(left) == 0 && files <= base+2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 5 s %d entries are left and %d descriptors, at base %d: %+v", len(left), files, base, left[:min(3, len(left))])
		}
		wait(10 * time.Millisecond)
	}
	gone := 0
	for _, e := range book.Recent() {
		if e.Done.Status == 499 {
			gone++
		}
	}
	if gone < min(count, 500)*9/10 {
		t.Errorf("only %d of the last requests are logged as 499", gone)
	}
}

// wait is a pause between two looks at something that becomes true.
func wait(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(all)
}

// The access log says 499 for a client that went away although 200 was sent, in JSON and CLF.
func TestAccessLogSaysHowItEnded(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000000")
		for range 10000 {
			if _, err := w.Write(make([]byte, 100_000)); err != nil {
				return
			}
		}
	})
	for _, format := range []string{"gateway", "clf combined"} {
		file := filepath.Join(t.TempDir(), "access.log")
		addr := load(t, "ADDR {\n\tlog {\n\t\toutput file "+file+"\n\t\tformat "+format+"\n\t}\n\treverse_proxy "+o.URL+"\n}\n")
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET /big?x=\"1 HTTP/1.1\r\nHost: a\r\nUser-Agent: te\"st\r\n\r\n")
		io.CopyN(io.Discard, c, 300_000)
		c.Close()
		line := ""
		for deadline := time.Now().Add(5 * time.Second); line == "" && time.Now().Before(deadline); wait(5 * time.Millisecond) {
			text, _ := os.ReadFile(file)
			line, _, _ = strings.Cut(string(text), "\n")
		}
		if format == "gateway" {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["status"] != 499.0 || entry["sent_status"] != 200.0 || entry["code"] != "GW1201" || entry["ended_by"] != "client" {
				t.Errorf("%v in %s", err, line)
			}
		} else if !strings.Contains(line, ` 499 `) || !strings.Contains(line, `:GW1201`) || strings.Count(line, `"`) != 6 {
			t.Errorf("CLF: %s", line)
		}
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestComplete(t *testing.T) {
	config, err := adapt("http://127.0.0.1:1 {\n\treverse_proxy https://origin.example {\n\t\ttransport http {\n\t\t\tread_buffer 8KiB\n\t\t}\n\t}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	again, err := gateway.Complete(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"listener_wrappers":[{"wrapper":"honeyant"},{"wrapper":"tls"},{"wrapper":"honeyant_framing"}]`, `"handler":"honeyant_ledger"`, `"handler":"honeyant_content_type"`, `"protocol":"honeyant"`, `"read_buffer_size":8000`} {
		if !strings.Contains(strings.ReplaceAll(string(config), "8192", "8000"), want) {
			t.Errorf("%s is not in %s", want, config)
		}
	}
	if strings.Count(string(again), `"wrapper":"honeyant"`) != 2 || strings.Count(string(again), `"wrapper":"honeyant_framing"`) != 1 { // the first of TCP and of UDP
		t.Errorf("completed twice: %s", again)
	}
}

// A Caddyfile that is wrong is refused with the line.
func TestBadCaddyfilesSayTheLine(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"deadlines {\n\t\torigin_heade 5s\n\t}", "origin_heade"},
		{"deadlines {\n\t\torigin_header 5\n\t}", "origin_header"},
		{"deadlines {\n\t\tmin_rate -1\n\t}", "min_rate"},
		{"mount /x/* ftp://host/", "ftp"},
		{"log_headers everything", "everything"},
		{"content_type maybe", "maybe"},
		{"reverse_proxy a:1 {\n\t\ttransport honeyant {\n\t\t\tquirks {\n\t\t\t\tnonsense\n\t\t\t}\n\t\t}\n\t}", "nonsense"},
	} {
		_, err := adapt("http://127.0.0.1:1 {\n\t" + test.line + "\n}\n")
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%q: %v", test.line, err)
		}
	}
	if _, err := adapt("{\n\tservers {\n\t\tlistener_wrappers {\n\t\t\thoneyant_framing off\n\t\t}\n\t}\n}\n"); err == nil || !strings.Contains(err.Error(), "Caddyfile:4") {
		t.Errorf("honeyant_framing off: %v", err)
	}
}

// The Caddyfile that the documentation shows is one.
func TestDocumentedCaddyfileIsGood(t *testing.T) {
	text, err := os.ReadFile("../doc/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "```") {
		if strings.HasPrefix(block, "\n{") {
			config, err := adapt(block)
			if err != nil {
				t.Fatal(err)
			}
			var parsed *caddy.Config
			if err := caddy.StrictUnmarshalJSON(config, &parsed); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no Caddyfile in doc/gateway.md")
}

// A tunnel passes bytes both ways, is in the ledger, and lives through a reload; kill ends both
// its sides.
func TestTunnelLivesThroughAReloadAndCanBeKilled(t *testing.T) {
	ended := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer close(ended)
		defer c.Close()
		io.Copy(c, rw)
	})
	file := "ADDR {\n\treverse_proxy " + o.URL + " {\n\t\tstream_close_delay 1h\n\t}\n}\n"
	addr := load(t, file)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	echo := func(text string) {
		t.Helper()
		io.WriteString(c, text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Fatalf("%q came back as %q, %v", text, got, err)
		}
	}
	echo("hello")
	reload(t, addr, file)
	echo("still there")
	list := book.List(ledger.Filter{Phase: ledger.Tunnel})
	if len(list) != 1 || list[0].OutBytes != 16 || list[0].Deadline == nil || list[0].Deadline.Name != string(ledger.LimitTunnelIdle) {
		t.Fatalf("the ledger has %+v", list)
	}
	if _, err := book.Kill(list[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the client's side goes on")
	}
	<-ended
}

// A download goes on over reloads, and is whole.
func TestDownloadLivesThroughReloads(t *testing.T) {
	step := make(chan struct{})
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3000")
		for range 3 {
			w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			<-step
		}
	})
	file := "ADDR {\n\treverse_proxy " + o.URL + " {\n\t\tflush_interval -1\n\t}\n}\n"
	addr := load(t, file)
	resp := get(t, "GET", "http://"+addr+"/")
	for range 3 {
		if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		reload(t, addr, file)
		step <- struct{}{}
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 0 || err != nil {
		t.Errorf("%d bytes too many, %v", n, err)
	}
}

// Quirks are per origin: what one needs does not change the other.
func TestQuirks(t *testing.T) {
	type seen struct {
		proto, connection, gzip, port string
	}
	asked := make(chan seen, 10)
	h := func(w http.ResponseWriter, r *http.Request) {
		connection := ""
		if r.Close {
			connection = "close"
		}
		asked <- seen{r.Proto, connection, r.Header.Get("Accept-Encoding"), r.RemoteAddr}
		w.Header().Set("Server", "old/1.0")
		w.Header().Set("X-Bad", "yes")
	}
	bad, good := newOrigin(t, h), newOrigin(t, h)
	for _, test := range []struct {
		quirk string
		check func(first, second seen, h http.Header) bool
	}{
		{"no_keepalive", func(a, b seen, _ http.Header) bool { return a.connection == "close" && a.port != b.port }},
		{"no_gzip", func(a, _ seen, _ http.Header) bool { return a.gzip == "identity" }},
		{"http10", func(a, b seen, _ http.Header) bool { return a.proto == "HTTP/1.0" && a.port != b.port }},
		{"max_requests 1", func(a, b seen, _ http.Header) bool { return a.port != b.port }},
		{"response drop X-Bad", func(_, _ seen, h http.Header) bool { return h.Get("X-Bad") == "" }},
		{"response set X-Bad no", func(_, _ seen, h http.Header) bool { return h.Get("X-Bad") == "no" }},
		{"response replace X-Bad ^y n", func(_, _ seen, h http.Header) bool { return h.Get("X-Bad") == "nes" }},
		{"request set Accept-Encoding br", func(a, _ seen, _ http.Header) bool { return a.gzip == "br" }},
	} {
		addr := load(t, "ADDR {\n\treverse_proxy /bad* "+bad.URL+" {\n\t\ttransport honeyant {\n\t\t\tquirks {\n\t\t\t\t"+test.quirk+"\n\t\t\t}\n\t\t}\n\t}\n\treverse_proxy "+good.URL+"\n}\n")
		a, header := ask(t, addr, "/bad", asked)
		b, _ := ask(t, addr, "/bad", asked)
		if !test.check(a, b, header) {
			t.Errorf("%s: the origin saw %+v and %+v, the client %v", test.quirk, a, b, header)
		}
		c, _ := ask(t, addr, "/good", asked)
		d, header := ask(t, addr, "/good", asked)
		if c.port != d.port || c.proto != "HTTP/1.1" || c.connection != "" || header.Get("X-Bad") != "yes" {
			t.Errorf("%s: the other origin saw %+v and %+v, the client %v", test.quirk, c, d, header)
		}
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func ask[T any](t *testing.T, addr, path string, asked chan T) (T, http.Header) {
	t.Helper()
	resp := get(t, "GET", "http://"+addr+path)
	io.Copy(io.Discard, resp.Body)
	return <-asked, resp.Header
}

// Whatever stands in a Caddyfile, the parsers of our directives answer or refuse.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{"deadlines {\n origin_header 5s\n route x\n}", "mount /x/* http://h/y/* {\n transport honeyant {\n quirks no_gzip\n }\n}", "log_headers request {\n sample 1/5\n}",
		"content_type off", "ledger {\n total 5m\n}", "mount / http://h", "mount /x {"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, directive string) {
		if strings.Contains(directive, "import") || strings.Contains(directive, "{$") {
			t.Skip("reads files and the environment")
		}
		config, err := adapt("http://127.0.0.1:1 {\n" + directive + "\n}\n")
		if err == nil && !json.Valid(config) {
			t.Fatalf("%q became %q", directive, config)
		}
	})
}
