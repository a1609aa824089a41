package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const answers = "\trespond /x \"served %d\""

// load asks without a pause, over connections of every kind, until it is stopped.
type load struct {
	stop   context.CancelFunc
	all    sync.WaitGroup
	asked  atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[string]
}

func startLoad(g *gateway) *load {
	ctx, stop := context.WithCancel(g.t.Context())
	l := &load{stop: stop}
	for i := range 6 {
		keepAlive, h2 := i%3 != 0, i%3 == 2
		method := http.MethodPost
		if keepAlive && !h2 {
			// A connection that has been idle for longer than the announcement is closed, perhaps just as a request comes: HTTP/1.1 has no way
			// around that (RFC 9112, 9.5), and clients repeat requests that may be repeated.
			method = http.MethodGet
		}
		l.all.Go(func() {
			client := httpClient(keepAlive, h2)
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				l.asked.Add(1)
				// What was begun is ended: only the loop is stopped.
				if err := ask(context.WithoutCancel(ctx), client, method, "https://"+g.address+"/x", "served"); err != nil {
					l.failed.Add(1)
					text := fmt.Sprintf("%s: keep-alive %v, HTTP/2 %v: %v", time.Now().UTC().Format("15:04:05.000000"), keepAlive, h2, err)
					l.first.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	return l
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.all.Wait()
	t.Logf("%d requests", l.asked.Load())
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", n, l.asked.Load(), *l.first.Load())
	}
}

// 20 reloads, 5 swaps of the program, and a successor that hangs and does not hear TERM: no request fails.
func TestReloadsAndSwapsUnderLoadLoseNothing(t *testing.T) {
	g := start(t, fmt.Sprintf(answers, 0), "--announce", "100ms", "--takeover", "10s")
	reloads, swaps := 20, 5
	if testing.Short() {
		reloads, swaps = 8, 3
	}
	l := startLoad(g)
	for i := range reloads {
		g.write(fmt.Sprintf(answers, i+1))
		g.must("reload")
	}
	if err := ask(t.Context(), httpClient(false, false), http.MethodGet, "https://"+g.address+"/x", fmt.Sprintf("served %d", reloads)); err != nil {
		t.Error(err)
	}
	pids := map[int]bool{}
	for range swaps {
		g.must("upgrade")
		pids[g.status().PID] = true
	}
	if len(pids) != swaps {
		t.Errorf("%d processes after %d swaps", len(pids), swaps)
	}
	l.end(t)
	eventually(t, "the old processes have ended", 20*time.Second, func() bool {
		all, err := g.client.Dir.Instances()
		return err == nil && len(all) == 1
	})
}

func TestASuccessorThatHangsIsKilledAndNothingIsLost(t *testing.T) {
	g := start(t, fmt.Sprintf(answers, 0), "--takeover", "500ms")
	deaf := filepath.Join(g.dir, "deaf")
	if err := os.WriteFile(deaf, []byte("#!/bin/sh\ntrap '' TERM INT\n(trap '' TERM; while :; do sleep 60; done) &\nwhile :; do sleep 60; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := g.status()
	l := startLoad(g)
	code, out := g.run("upgrade", "--program", deaf)
	if code != 1 || !strings.Contains(out, "not ready after") {
		t.Errorf("exit code %d: %s", code, out)
	}
	l.end(t)
	after := g.status()
	if after.PID != before.PID || after.State != "serving" {
		t.Errorf("%+v", after)
	}
}

func TestABadConfigurationKeepsTheOldOneAndNamesTheLine(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1))
	for name, c := range map[string]struct{ site, want string }{
		"no such directive": {"\trespond /x hello\n\tfly_away", "Caddyfile:10"},
		"wrong argument":    {"\trespond /x hello\n\tencode nonsense", "Caddyfile:10"},
		"open brace":        {"\thandle {\n\trespond /x hello\n\t{", "Caddyfile:"},
		"bad module":        {"\trespond /x hello\n\t@m path_regexp ^(\n\trespond @m y", "Caddyfile:10"},
	} {
		g.write(c.site)
		for _, args := range [][]string{{"reload", "--check"}, {"reload"}} {
			code, out := g.run(args...)
			if code != 2 || !strings.Contains(out, c.want) {
				t.Errorf("%s, %v: exit code %d: %s", name, args, code, out)
			}
		}
		if err := ask(t.Context(), httpClient(false, false), http.MethodGet, "https://"+g.address+"/x", "served 1"); err != nil {
			t.Errorf("%s: the old configuration is gone: %v", name, err)
		}
	}
	g.write(fmt.Sprintf(answers, 2))
	g.must("reload", "--check")
	g.must("reload")
	if err := ask(t.Context(), httpClient(false, false), http.MethodGet, "https://"+g.address+"/x", "served 2"); err != nil {
		t.Error(err)
	}
}

// An upgraded connection goes on over a reload.
func TestATunnelOutlivesAReload(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err == nil {
					io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
					io.Copy(c, r)
				}
			}()
		}
	}()
	site := "\treverse_proxy " + ln.Addr().String()
	g := start(t, site)
	c, err := tls.Dial("tcp", g.address, insecure())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", g.address)
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	echo := func(when string) {
		t.Helper()
		if _, err := io.WriteString(c, when+"\n"); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if line, err := r.ReadString('\n'); line != when+"\n" {
			t.Fatalf("%s: %q, %v", when, line, err)
		}
	}
	echo("before")
	g.write(site + "\n\theader X-New yes")
	g.must("reload")
	echo("after")
	g.write(site)
	g.must("reload")
	echo("after another")
}

func TestOnlyItsOwnerMaySteer(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1))
	entries, err := os.ReadDir(string(g.client.Dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&os.ModeSocket != 0 && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", e.Name(), info.Mode())
		}
	}
	info, err := os.Stat(string(g.client.Dir))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A process that does not even hear signals is stopped for certain.
func TestStopEndsAProcessThatIsFrozen(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1))
	s := g.status()
	if err := unix.Kill(s.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	out := g.must("stop", "--escalate", "TERM:200ms,INT:200ms,KILL")
	if !strings.Contains(out, "ended by KILL") {
		t.Errorf("%s", out)
	}
	if code, _ := g.run("status"); code != 3 {
		t.Errorf("exit code %d without a gateway", code)
	}
}

func TestATakenPortNamesItsHolder(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf(answers, 1))
	s := g.status()
	code, out := g.run("run", "--config", g.config)
	if code != 1 || !strings.Contains(out, fmt.Sprintf("pid %d (", s.PID)) {
		t.Errorf("exit code %d: %s", code, out)
	}
}
