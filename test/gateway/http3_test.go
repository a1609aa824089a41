package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/honeyant/honeyant/gateway/control"
)

// Requests over HTTP/3 are in the ledger like all others: listed, bounded, killed, and logged as 499 if the client goes away.
// So is their connection, which is killed as others are.
func TestRequestsOverHTTP3AreInTheLedger(t *testing.T) {
	t.Parallel()
	origin := stalling(t)
	g := startWith(t, strings.Replace(globals, "{\n", "{\n\tservers {\n\t\tprotocols h1 h2 h3\n\t}\n", 1),
		"\tlog\n\thandle /stall/short* {\n\t\tdeadlines {\n\t\t\torigin_body_idle 300ms\n\t\t}\n\t\treverse_proxy "+origin+"\n\t}\n\treverse_proxy "+origin)
	tr := &http3.Transport{TLSClientConfig: insecure()}
	defer tr.Close()
	client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	// ask asks, and tells how it ended. The header of a stalled response may stay in a buffer of the server's.
	ask := func(ctx context.Context, path string) <-chan error {
		ended := make(chan error, 1)
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+g.address+path, http.NoBody)
			if err != nil {
				ended <- err
				return
			}
			resp, err := client.Do(req)
			if err != nil {
				ended <- err
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err == nil && (resp.ProtoMajor != 3 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/css") || !strings.HasPrefix(string(body), "body {")) {
				t.Errorf("%s: %s %v %q", path, resp.Proto, resp.Header, body)
			}
			ended <- err
		}()
		return ended
	}
	if err := <-ask(t.Context(), "/style.css"); err != nil {
		t.Error(err)
	}

	killed := ask(t.Context(), "/stall/killed")
	var rows []control.Row
	eventually(t, "the stalled request is listed", 10*time.Second, func() bool {
		rows = decode[[]control.Row](t, g.must("ps", "--json", "--phase", "origin-read"))
		return len(rows) == 1
	})
	quics := func() []control.Row {
		return slices.DeleteFunc(decode[[]control.Row](t, g.must("ps", "--json", "--connections", "--side", "client")), func(r control.Row) bool { return r.Proto != "QUIC" })
	}
	conns := quics()
	if len(conns) != 1 {
		t.Fatalf("connections: %+v", conns)
	}
	if e := rows[0]; e.Proto != "HTTP/3.0" || e.Path != "/stall/killed" || e.Deadline == nil || e.Conn != conns[0].ID {
		t.Errorf("%+v of %+v", e, conns[0])
	}
	g.must("kill", rows[0].ID.String())
	if <-killed == nil {
		t.Error("the client took a killed response for the whole")
	}

	if <-ask(t.Context(), "/stall/short") == nil {
		t.Error("the client took a response over its deadline for the whole")
	}
	eventually(t, "the deadline is in the log", 5*time.Second, func() bool { return strings.Contains(g.log.String(), "GW2104") })

	ctx, cancel := context.WithCancel(t.Context())
	left := ask(ctx, "/stall/left")
	eventually(t, "the request is listed", 10*time.Second, func() bool { return strings.Contains(g.must("ps", "--json"), "/stall/left") })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	eventually(t, "the client's leaving is in the log", 5*time.Second, func() bool {
		return strings.Contains(g.log.String(), `"status":499`) && strings.Contains(g.log.String(), "GW1201")
	})
	// By now the client has more than one connection from one address.
	last := ask(t.Context(), "/stall/last")
	eventually(t, "the request is listed", 10*time.Second, func() bool {
		rows = decode[[]control.Row](t, g.must("ps", "--json", "--phase", "origin-read"))
		return len(rows) == 1 && rows[0].Path == "/stall/last"
	})
	killedAt := time.Now()
	g.must("kill", rows[0].Conn.String())
	if err := <-last; err == nil || time.Since(killedAt) > 5*time.Second {
		t.Errorf("a request on a killed connection ended after %s: %v", time.Since(killedAt), err)
	}
	eventually(t, "nothing is left", 5*time.Second, func() bool { return strings.TrimSpace(g.must("ps", "--json")) == "[]" })
}
