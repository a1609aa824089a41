package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vector is a request that tries to be two, or breaks the rules of RFC 9112.
type vector struct {
	name, request string
	refused       bool // must be 400 or above, and the connection closed
}

func vectors() []vector {
	const hidden = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	const chunked = "0\r\n\r\n"
	return []vector{
		{"length and chunked", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, true},
		{"chunked and length", "POST /1 HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding: Chunked\r\nX: y\r\ncontent-LENGTH:  6 \r\n\r\n" + chunked + hidden, true},
		{"chunked and folded length", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length:\r\n 6\r\n\r\n" + chunked + hidden, true},
		{"chunked and length, no CR", "POST /1 HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 6\n\n" + chunked + hidden, true},
		{"chunked and length in a GET", "GET /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n" + chunked + hidden, true},
		{"chunked and length 0", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + chunked + hidden, true},
		{"chunked in HTTP/1.0", "POST /1 HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, true},
		{"chunked in HTTP/1.0, kept", "POST /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n" + chunked + hidden, true},
		{"two lengths that differ", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\n" + hidden, true},
		{"a list of lengths", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 35\r\n\r\n" + hidden, true},
		{"a signed length", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n" + hidden, true},
		{"a negative length", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n" + hidden, true},
		{"a length in hexadecimal", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0x23\r\n\r\n" + hidden, true},
		{"a length with a space inside", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3 5\r\n\r\n" + hidden, true},
		{"an unknown transfer coding", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n" + chunked + hidden, true},
		{"chunked twice", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, true},
		{"identity after chunked", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n" + chunked + hidden, true},
		{"space before the colon", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n" + chunked + hidden, true},
		{"a folded line", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" + chunked, false},
		{"space before the first field", "GET /1 HTTP/1.1\r\n Host: a\r\n\r\n", true},
		{"no host", "GET /1 HTTP/1.1\r\n\r\n", true},
		{"two hosts", "GET /1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", true},
		{"a host with a slash", "GET /1 HTTP/1.1\r\nHost: a/b\r\n\r\n", true},
		{"a control character in a field", "GET /1 HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", true},
		{"a field without a name", "GET /1 HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", true},
		{"a field without a colon", "GET /1 HTTP/1.1\r\nHost: a\r\nxyz\r\n\r\n", true},
		{"a method with a slash", "GE/T /1 HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"no version", "GET /1\r\nHost: a\r\n\r\n", true},
		{"version 2.5", "GET /1 HTTP/2.5\r\nHost: a\r\n\r\n", true},
		{"a space in the target", "GET /1 /2 HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"bare CR in the request line", "GET /1\rX HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"a chunk size that is none", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + hidden, true},
		{"a chunk size too large", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + hidden, true},
		{"a chunk that ends wrongly", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n" + hidden, true},
		{"bare LF after a chunk size", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\nabc\r\n0\r\n\r\n" + hidden, true},
		{"a header of 100 KB", "GET /1 HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", true},
		{"good by chunks", "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
		{"good by length", "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + hidden, false},
	}
}

// behind starts nginx or HAProxy before an origin, and answers its address. It skips the test if there is none.
func behind(t *testing.T, name, origin string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	addr, dir := free(t), t.TempDir()
	text, args := "user root; daemon off; pid p; error_log e; events { } http { access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n"+
		"server { listen "+addr+"; location / { proxy_http_version 1.1; proxy_pass http://"+origin+"; } } }\n", []string{"-p", dir, "-e", "e", "-c", "conf"}
	if name == "haproxy" {
		text = "defaults\n mode http\n timeout connect 5s\n timeout client 10s\n timeout server 10s\nlisten l\n bind " + addr + "\n http-reuse always\n server s " + origin + "\n"
		args = []string{"-f", filepath.Join(dir, "conf")}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; wait(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen", name)
		}
	}
}

// Whatever the answer, the origin sees at most one request, never the one that is hidden in the body, and none of one that
// says in two ways how long it is; also over TLS, and if nginx or HAProxy stand between, which may understand differently
// what the gateway passes on.
func TestSmugglingAndMalformedRequests(t *testing.T) {
	for _, front := range []struct {
		name, between string
		secure        bool
	}{{"plain", "", false}, {"over TLS", "", true}, {"before nginx", "nginx", false}, {"before haproxy", "haproxy", false}} {
		t.Run(front.name, func(t *testing.T) {
			o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					w.WriteHeader(http.StatusBadRequest)
				}
			})
			to := o.Listener.Addr().String()
			if front.between != "" {
				to = behind(t, front.between, to)
			}
			dial := loadFront(t, front.secure, "\treverse_proxy "+to+"\n")
			for i, test := range vectors() {
				// Each has paths of its own: the origin may see the one before late.
				test.request = strings.ReplaceAll(strings.Replace(test.request, "/1", fmt.Sprintf("/vector%d.", i), 1), "/smuggled", fmt.Sprintf("/smuggl%02d", i)) // as long as it was
				t.Run(test.name, func(t *testing.T) { trySmuggling(t, dial(t), o, test, i) })
			}
		})
	}
}

func trySmuggling(t *testing.T, c net.Conn, o *recorder, test vector, number int) {
	t.Helper()
	go io.WriteString(c, test.request)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		if !test.refused {
			t.Fatalf("no answer: %v", err)
		}
	} else {
		io.Copy(io.Discard, resp.Body)
		if test.refused != (resp.StatusCode >= 400) {
			t.Errorf("status %d, refused should be %v", resp.StatusCode, test.refused)
		}
		if test.refused && !resp.Close {
			t.Error("the connection is kept after a request that breaks the rules")
		}
	}
	own, hidden := 0, 0
	contradictory := test.refused && (strings.Contains(test.name, "length") && strings.Contains(test.name, "chunked") || strings.Contains(test.name, "1.0"))
	if contradictory && (resp == nil || resp.StatusCode != http.StatusBadRequest) {
		t.Errorf("not answered by 400: %v", resp)
	}
	for _, line := range o.seen() {
		if strings.Contains(line, fmt.Sprintf("/vector%d.", number)) {
			own++
		}
		if strings.Contains(line, fmt.Sprintf("/smuggl%02d", number)) {
			hidden++
		}
	}
	if own > 1 || hidden > 0 || contradictory && own > 0 {
		t.Errorf("the origin saw %d requests and %d hidden ones", own, hidden)
	}
}
