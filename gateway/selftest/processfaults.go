package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/gateway/life"
)

// processFaults are the operating system's doing. They are tried with what the gateway has for them, or with a gateway of their
// own; another proxy is not asked.
func processFaults() []Fault {
	own := func(play func(context.Context, *trial)) func(context.Context, *trial) {
		return func(ctx context.Context, t *trial) {
			if t.program == "" {
				t.skip("only with a gateway of this program's own")
				return
			}
			play(ctx, t)
		}
	}
	generous := func(Limits) time.Duration { return 20 * time.Second }
	return []Fault{
		{Number: 24, Name: "deaf-child", Title: "child that ignores TERM", Want: "ended by KILL, with its children", limit: generous, play: own(playDeafChild)},
		{Number: 25, Name: "orphan-holds-port", Title: "port held by a dead parent's child", Want: "named, ended, port free", limit: generous, play: own(playOrphan)},
		{Number: 26, Name: "log-full", Title: "the log's disk is full", Want: "serves on", limit: generous, play: own(playLogFull)},
		{Number: 27, Name: "no-descriptors", Title: "no more file descriptors", Want: "serves on when there are some again", limit: generous, play: own(playNoDescriptors)},
		{Number: 28, Name: "clock-jump", Title: "the clock jumps", Want: "no deadline fires early or late", limit: atOnce, play: func(_ context.Context, t *trial) {
			t.skip("would set this machine's clock; deadlines count the monotonic clock, which does not jump")
		}},
	}
}

func playDeafChild(ctx context.Context, t *trial) {
	r, w, err := os.Pipe()
	if err != nil {
		t.wrong("%v", err)
		return
	}
	cmd := exec.Command("sh", "-c", "trap '' TERM INT; sleep 300 >&- & echo up; exec >&-; while :; do sleep 300; done")
	cmd.Stdout = w
	c, err := life.StartChild(cmd)
	if err := errors.Join(err, w.Close()); err != nil {
		t.wrong("%v", errors.Join(err, r.Close()))
		return
	}
	if _, err := io.ReadAll(r); err != nil { // until it is deaf
		t.wrong("%v", err)
	}
	_ = r.Close() // read to its end
	stopped, err := c.Stop(ctx, []life.Step{{Signal: unix.SIGTERM, Limit: 300 * time.Millisecond}, {Signal: unix.SIGINT, Limit: 300 * time.Millisecond}, {Signal: unix.SIGKILL, Limit: 10 * time.Second}}, nil)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	if left, err := life.Family(c.Process); err != nil || len(left) > 0 {
		t.wrong("left behind: %v %v", left, err)
	}
	t.row.Client = fmt.Sprintf("ended by %s after %s, with %d it had started", stopped.By, stopped.After.Round(time.Millisecond), len(stopped.Killed))
}

// playOrphan lets a process inherit a listening socket and lose its parent, as happened after a crash.
func playOrphan(ctx context.Context, t *trial) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.wrong("%v", err)
		return
	}
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.wrong("%v", errors.Join(err, ln.Close()))
		return
	}
	parent := exec.CommandContext(ctx, "sh", "-c", "trap '' TERM; sleep 300 & exit 0")
	parent.ExtraFiles = []*os.File{f}
	if err := errors.Join(parent.Run(), f.Close(), ln.Close()); err != nil {
		t.wrong("%v", err)
		return
	}
	var holders []life.Holder
	until(ctx, time.Second, 5*time.Millisecond, func() bool {
		// Other faults start processes as well: each has all descriptors between its fork and its exec.
		holders, err = life.Holders(at.Port())
		return err != nil || len(holders) <= 1
	})
	if err != nil || len(holders) != 1 || holders[0].PID == 0 {
		t.wrong("the holder was not found: %v %v", holders, err)
		return
	}
	stopped, err := life.Stop(ctx, holders[0].Process, []life.Step{{Signal: unix.SIGTERM, Limit: 300 * time.Millisecond}, {Signal: unix.SIGKILL, Limit: 10 * time.Second}}, nil)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	again, err := net.Listen("tcp", at.String())
	if err != nil {
		t.wrong("%v", err)
		return
	}
	t.row.Client = fmt.Sprintf("%s; ended by %s; port free", holders[0], stopped.By)
	if err := again.Close(); err != nil {
		t.wrong("%v", err)
	}
}

// own starts a gateway for one fault, through a shell line that ends in exec "$@".
func (t *trial) own(ctx context.Context, shell string, play func(address string)) {
	dir, err := os.MkdirTemp("", "honeyant-selftest-")
	if err != nil {
		t.wrong("%v", err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "index.txt"), []byte(plainBody), 0o600); err != nil {
		t.wrong("%v", err)
		return
	}
	address, err := freeAddress()
	if err != nil {
		t.wrong("%v", err)
		return
	}
	cmd := exec.Command("sh", "-c", shell, "sh", t.program, "run", "--control", filepath.Join(dir, "control"), "--site", "http://"+address, "--root", dir)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	child, err := life.StartChild(cmd)
	if err != nil {
		t.wrong("%v", err)
		return
	}
	defer func() {
		if _, err := child.Stop(context.WithoutCancel(ctx), []life.Step{{Signal: unix.SIGTERM, Limit: 2 * time.Second}, {Signal: unix.SIGKILL, Limit: 10 * time.Second}}, nil); err != nil {
			t.wrong("%v", err)
		}
	}()
	if !serves(ctx, t, "http://"+address+"/index.txt", 10*time.Second) {
		t.wrong("the gateway did not start")
		return
	}
	play(address)
}

// serves asks until there is the right answer.
func serves(ctx context.Context, t *trial, address string, limit time.Duration) bool {
	return until(ctx, limit, 50*time.Millisecond, func() bool {
		a := t.ask(ctx, http.MethodGet, address)
		return a.clean && a.body == plainBody
	})
}

// until asks ok again and again, every step, and tells whether it came true before the limit.
func until(ctx context.Context, limit, step time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; {
		if ok() {
			return true
		}
		select {
		case <-time.After(step):
		case <-ctx.Done():
		}
	}
	return false
}

func playLogFull(ctx context.Context, t *trial) {
	t.own(ctx, `exec "$@" >/dev/full 2>&1`, func(address string) {
		for range 20 {
			if a := t.ask(ctx, http.MethodGet, "http://"+address+"/index.txt"); !a.clean || a.body != plainBody {
				t.saw(a)
				t.wrong("not served")
				return
			}
		}
		t.row.Client = "20 × 200, complete"
	})
}

func playNoDescriptors(ctx context.Context, t *trial) {
	const limit, clients = 64, 200
	t.own(ctx, fmt.Sprintf(`ulimit -n %d; exec "$@" 2>/dev/null`, limit), func(address string) {
		var open []net.Conn
		for range clients {
			c, err := net.DialTimeout("tcp", address, time.Second)
			if err != nil {
				break
			}
			open = append(open, c)
		}
		t.row.Client = fmt.Sprintf("%d connections at once with %d descriptors", len(open), limit)
		for _, c := range open {
			_ = c.Close() // the gateway may have closed it
		}
		if serves(ctx, t, "http://"+address+"/index.txt", 15*time.Second) {
			t.row.Client += "; served again"
		} else {
			t.wrong("not served any more")
		}
	})
}

// freeAddress is one where nobody listens at the moment.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strings.Clone(ln.Addr().String()), ln.Close()
}
