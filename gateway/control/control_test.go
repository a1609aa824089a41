package control_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
)

// fake is a daemon that says what it was told to.
type fake struct {
	self life.Process
	err  error
}

func (f *fake) Status() control.Status {
	return control.Status{Process: f.self, State: control.Serving, Config: "Caddyfile"}
}
func (f *fake) Reload(context.Context) (control.Reloaded, error) {
	return control.Reloaded{Config: "Caddyfile", Changed: true}, f.err
}
func (f *fake) Upgrade(_ context.Context, program string) (life.Process, error) {
	return life.Process{PID: len(program)}, f.err
}

// serve lets a ledger and a fake be asked, until the end of the test.
func serve(t *testing.T) (*ledger.Ledger, *fake, *control.Client) {
	t.Helper()
	self, err := life.Self()
	if err != nil {
		t.Fatal(err)
	}
	l, f, dir := ledger.New(0), &fake{self: self}, control.Dir(filepath.Join(t.TempDir(), "c"))
	ln, err := dir.Listen(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.MakeCurrent(self); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: control.Handler(l, f, nil)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
		if err := dir.Forget(self); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return l, f, &control.Client{Dir: dir}
}

func TestAskingARunningProcess(t *testing.T) {
	l, f, c := serve(t)
	ctx := t.Context()
	req, reqCtx := l.Begin(ctx, ledger.About{Message: ledger.Message{Method: "GET", Host: "example.org", Path: "/x"}, Route: "r"})
	rows, err := c.Entries(ctx, url.Values{"kind": {"request"}})
	if err != nil || len(rows) != 1 || rows[0].ID != req.ID() || rows[0].Path != "/x" || rows[0].PID != os.Getpid() {
		t.Fatalf("%+v, %v", rows, err)
	}
	if rows, err := c.Entries(ctx, url.Values{"older": {"1h"}}); err != nil || len(rows) != 0 {
		t.Errorf("an hour old: %+v, %v", rows, err)
	}
	if _, err := c.Entries(ctx, url.Values{"idle": {"soon"}}); err == nil {
		t.Error("idle=soon was taken")
	}
	if row, err := c.Entry(ctx, req.ID()); err != nil || row.Route != "r" {
		t.Errorf("%+v, %v", row, err)
	}
	if _, err := c.Entry(ctx, 4711); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("an entry that is not there: %v", err)
	}
	if _, err := c.Kill(ctx, req.ID(), "test"); err != nil {
		t.Error(err)
	}
	<-reqCtx.Done()
	req.End(ledger.Outcome{Status: 499, Text: "killed", By: "operator"})
	if recent, err := c.Recent(ctx); err != nil || len(recent) != 1 || recent[0].Done == nil {
		t.Errorf("%+v, %v", recent, err)
	}
	if s, err := c.Statuses(ctx); err != nil || len(s) != 1 || s[0].Counts == nil || s[0].Counts.Requests != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if done, err := c.Reload(ctx); err != nil || !done.Changed {
		t.Errorf("%+v, %v", done, err)
	}
	if p, err := c.Upgrade(ctx, "1234"); err != nil || p.PID != 4 {
		t.Errorf("%+v, %v", p, err)
	}
	f.err = errors.New("Caddyfile:3: no")
	if _, err := c.Reload(ctx); err == nil || err.Error() != f.err.Error() {
		t.Errorf("%v", err)
	}
}

func TestStackFindsTheGoroutinesOfARequest(t *testing.T) {
	l, _, c := serve(t)
	req, _ := l.Begin(t.Context(), ledger.About{Message: ledger.Message{Path: "/x"}})
	defer req.End(ledger.Outcome{Status: 200})
	stop, ended := make(chan struct{}), make(chan struct{})
	go pprof.Do(t.Context(), pprof.Labels(ledger.StackLabel, req.ID().String()), func(context.Context) {
		defer close(ended)
		waitsForTheTest(stop)
	})
	defer func() { close(stop); <-ended }()
	var text strings.Builder
	for text.Len() == 0 { // until the goroutine has come so far
		_ = c.Stack(t.Context(), req.ID(), &text)
	}
	if !strings.Contains(text.String(), "waitsForTheTest") || strings.Contains(text.String(), "testing.tRunner") {
		t.Errorf("%s", text.String())
	}
	var all strings.Builder
	if err := c.Stack(t.Context(), 0, &all); err != nil || !strings.Contains(all.String(), "testing.tRunner") {
		t.Errorf("%v: %.300s", err, all.String())
	}
	if err := c.Stack(t.Context(), 4711, &all); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("%v", err)
	}
}

//go:noinline
func waitsForTheTest(stop chan struct{}) { <-stop }

func TestSocketsOfTheDeadAreForgotten(t *testing.T) {
	dir := control.Dir(t.TempDir())
	c := &control.Client{Dir: dir}
	if _, err := c.Current(); !errors.Is(err, control.ErrNone) {
		t.Errorf("%v", err)
	}
	dead := life.Process{PID: os.Getpid(), Start: 1} // this number, but an earlier process
	ln, err := dir.Listen(dead)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := dir.MakeCurrent(dead); err != nil {
		t.Fatal(err)
	}
	if all, err := dir.Instances(); !errors.Is(err, control.ErrNone) {
		t.Errorf("%v, %v", all, err)
	}
	entries, err := os.ReadDir(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".sock") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestWhySaysItInWords(t *testing.T) {
	e := ledger.Entry{ID: 7, Kind: ledger.Request, Phase: ledger.OriginRead, Progress: ledger.Progress{IdleSeconds: 42, AgeSeconds: 50, SizeBytes: -1,
		Deadline: &ledger.Limit{Name: string(ledger.LimitOriginBodyIdle), LimitSeconds: 60, LeftSeconds: 18}}}
	if got := control.Why(e); got != "waiting for origin body, idle 42 s, limit 60 s" {
		t.Errorf("%q", got)
	}
	e.Deadline = nil
	if got := control.Why(e); got != "waiting for origin body, idle 42 s, no limit set" {
		t.Errorf("%q", got)
	}
	e.Done = &ledger.Outcome{Code: "GW2104", Status: 200, Text: "the origin stopped"}
	if got := control.Why(e); got != "ended: the origin stopped (status 200), GW2104" {
		t.Errorf("%q", got)
	}
	if lines := control.Explain(e); len(lines) < 4 || !strings.Contains(lines[len(lines)-1], "origin_body_idle") {
		t.Errorf("%q", lines)
	}
}

func TestStatsGroupsWhatHangs(t *testing.T) {
	row := func(ctype, origin string, idle float64, done *ledger.Outcome) control.Row {
		return control.Row{Entry: ledger.Entry{Kind: ledger.Request, Message: ledger.Message{Type: ctype}, Origin: origin, Done: done,
			Progress: ledger.Progress{IdleSeconds: idle, OutBytes: 10, SizeBytes: 2 << 20}}}
	}
	rows := []control.Row{
		row("application/pdf; x", "a:1", 30, nil), row("application/pdf", "a:1", 0, &ledger.Outcome{Code: "GW2104"}),
		row("text/html", "b:1", 0, nil), row("text/html", "b:1", 0, &ledger.Outcome{Status: 499, Code: "GW1201"}),
		{Entry: ledger.Entry{Kind: ledger.Connection, Progress: ledger.Progress{IdleSeconds: 99}}},
	}
	groups, err := control.Stats(rows, []string{"type", "size"}, false)
	if err != nil || len(groups) != 2 {
		t.Fatalf("%+v, %v", groups, err)
	}
	if g := groups[0]; g.Keys[0] != "application/pdf" || g.Keys[1] != "< 100 MiB" || g.Hung != 2 || g.Running != 1 || g.MaxIdle != 30 || g.Bytes != 20 {
		t.Errorf("%+v", g)
	}
	if g := groups[1]; g.Hung != 0 || g.Aborted != 1 {
		t.Errorf("%+v", g)
	}
	if hung, err := control.Stats(rows, []string{"origin"}, true); err != nil || len(hung) != 1 || hung[0].Keys[0] != "a:1" {
		t.Errorf("%+v, %v", hung, err)
	}
	if _, err := control.Stats(rows, []string{"colour"}, false); err == nil {
		t.Error("grouped by colour")
	}
}

func TestSecondsAndBytes(t *testing.T) {
	for s, want := range map[float64]string{0.04: "0.0 s", 42: "42 s", 119: "119 s", 3600: "1h0m", 200000: "2 d"} {
		if got := control.Seconds(s); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 64 << 20: "64 MiB", 5 << 40: "5.0 TiB"} {
		if got := control.Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
