package node

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/admin"
)

// The command socket answers GET /metrics in the text format of Prometheus.
func TestMetricsOnTheSocket(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	dir := t.TempDir()
	if _, err := Init(t.Context(), Place{Dir: dir, Listen: address, Capacity: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, admin.SocketName))
	}}}
	answer, err := client.Get("http://x/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	line := regexp.MustCompile(`^[a-z_]+(\{[^}]*\})? [-+0-9.eNa]+$`)
	seen, closed, last := map[string]bool{}, map[string]bool{}, ""
	for s := bufio.NewScanner(answer.Body); s.Scan(); {
		if s.Text() == "" || s.Text()[0] == '#' {
			continue
		}
		if !line.MatchString(s.Text()) {
			t.Errorf("no sample: %q", s.Text())
		}
		name, _, _ := strings.Cut(s.Text(), " ")
		family, _, _ := strings.Cut(name, "{")
		if seen[name] || closed[family] && family != last {
			t.Errorf("%s comes twice, or not with its family", name)
		}
		seen[name], closed[family], last = true, true, family
	}
	for _, want := range []string{"honeyant_raft_term", "honeyant_raft_incarnation", "honeyant_mounts", "process_resident_memory_bytes"} {
		if !seen[want] {
			t.Errorf("no %s", want)
		}
	}
}
