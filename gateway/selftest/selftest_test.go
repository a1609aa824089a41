package selftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// naive is a reverse proxy as anybody would write it: no limits but those for connecting.
func naive(t *testing.T, o *Origin, l Limits) *url.URL {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(o.Authority())
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: l.Connect}).DialContext,
		TLSHandshakeTimeout:   l.TLS,
		ResponseHeaderTimeout: l.Header,
		TLSClientConfig:       &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2:     true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		port, _, _ := strings.Cut(strings.TrimPrefix(r.In.URL.Path, Prefix+"/"), "/")
		scheme := "http"
		if isTLS(port) {
			scheme = "https"
		}
		r.SetURL(&url.URL{Scheme: scheme, Host: o.Address(port)})
	}}
	proxy.ErrorLog = quiet()
	server := httptest.NewUnstartedServer(proxy)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The self-test must tell a proxy that hangs from one that does not: what is known of a naive one is the expectation.
func TestANaiveProxyFailsWhereItIsKnownTo(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the proxy's
	o, err := NewOrigin("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{Connect: 500 * time.Millisecond, TLS: 500 * time.Millisecond, Header: 700 * time.Millisecond, Idle: 500 * time.Millisecond,
		RateAfter: 500 * time.Millisecond, Close: 500 * time.Millisecond, Slack: 3 * time.Second}
	front := naive(t, o, limits)
	rows, err := Run(t.Context(), Options{Front: front, Origin: o, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	want := map[int]Verdict{
		1: Wrong, 2: Hung, 3: Hung, 4: Hung, 5: Survived, 6: Survived, 7: Wrong, 8: Survived, 9: Survived, 10: Survived, 11: Survived,
		13: Survived, 14: Survived, 15: Survived, 16: Survived, 17: Survived, 18: Survived, 19: Survived, 20: Survived,
		22: Hung, 23: Hung, 24: Skipped, 25: Skipped, 26: Skipped, 27: Skipped, 28: Skipped, 29: Survived, 30: Survived,
	}
	if len(rows) != 30 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		t.Logf("%2d %-18s %-8s %4.1f s of %4.1f  %s | %s | %s", r.Number, r.Name, r.Verdict, r.Seconds, r.Limit, r.Client, r.Origin, r.Note)
		if w, ok := want[r.Number]; ok && r.Verdict != w {
			t.Errorf("%d %s: %s, want %s", r.Number, r.Name, r.Verdict, w)
		}
	}
}

func TestAProxyThatDoesNotReachTheOriginIsAnError(t *testing.T) {
	o, err := NewOrigin("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	elsewhere := httptest.NewTLSServer(http.NotFoundHandler())
	defer elsewhere.Close()
	front, err := url.Parse(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), Options{Front: front, Origin: o, Limits: Short()}); err == nil || !strings.Contains(err.Error(), Prefix+"/plain") {
		t.Errorf("%v", err)
	}
}

func TestFaultsAreNumberedFromOneToThirty(t *testing.T) {
	names := map[string]bool{}
	for i, f := range Faults() {
		if f.Number != i+1 || f.Name == "" || names[f.Name] || f.Title == "" || f.Want == "" || f.play == nil || f.limit == nil {
			t.Errorf("fault %d: %+v", i+1, f)
		}
		names[f.Name] = true
	}
	if len(names) != 30 {
		t.Errorf("%d faults", len(names))
	}
}

func TestTarget(t *testing.T) {
	for path, want := range map[string]string{"/p/plain/drip/tok": "drip tok", "/a/b.css": "a b", "/": " ", "": " ", "/x": " ", "//x//y": " y"} {
		name, token := target(path)
		if got := name + " " + token; got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestConfigsNameEveryPort(t *testing.T) {
	o, err := NewOrigin("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, proxy := range Proxies() {
		text, err := Config(proxy, ConfigOptions{Origin: o, Limits: Short(), Listen: "127.0.0.1:1", Cert: "c", Key: "k", Authority: "a"})
		if err != nil {
			t.Errorf("%s: %v", proxy, err)
		}
		for _, port := range Ports() {
			if !strings.Contains(text, o.Address(port)) || !strings.Contains(text, Prefix+"/"+port) {
				t.Errorf("%s has no port %s", proxy, port)
			}
		}
	}
	if _, err := Config("squid", ConfigOptions{Origin: o}); err == nil {
		t.Error("there is a configuration for squid")
	}
}
