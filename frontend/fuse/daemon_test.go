package fuse_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/volumetest"
)

const (
	serveEnv = "HONEYANT_FUSE_SERVE"
	// keepEnv makes volumes that remember names under leases, and lets the kernel keep them too unless noKernelEnv
	// is set; oneEnv mounts one volume at all paths.
	keepEnv     = "HONEYANT_FUSE_KEEP"
	noKernelEnv = "HONEYANT_FUSE_KEEP_NO_KERNEL"
	calmEnv     = "HONEYANT_FUSE_KEEP_CALM"
	oneEnv      = "HONEYANT_FUSE_ONE_VOLUME"
	// transportEnv says over which transport the tests run: uring or dev; default dev.
	transportEnv = "HONEYANT_FUSE_TRANSPORT"
)

// transport is what the tests mount with: never auto, so that it is known what was tested.
func transport() fuse.Transport {
	return fuse.Transport(cmp.Or(os.Getenv(transportEnv), string(fuse.TransportDev)))
}

// TestServe is no test: the process that runs it is the daemon of the others, with one volume
// mounted at each path, because a mount must not be used from the process that serves it.
func TestServe(t *testing.T) {
	paths := os.Getenv(serveEnv)
	if paths == "" {
		t.Skip("run by the other tests")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	cluster := volumetest.NewCluster(t, 3, 16<<30)
	var file []*fuse.FS
	keep := os.Getenv(keepEnv) != ""
	calm, _ := time.ParseDuration(os.Getenv(calmEnv)) // unset: the default
	var away atomic.Bool                              // the second volume can not reach the leader
	var v *volume.Volume
	for _, path := range strings.Split(paths, ":") {
		change := func(o *volume.Options) { o.Deadline = 5 * time.Second; o.Log = log }
		switch {
		case os.Getenv(oneEnv) != "" && v != nil:
		case keep:
			s := cluster.NewLeased(t, func(o *remote.Options) {
				local, mine := o.Local, len(file) == 1
				o.Local = func() (*meta.Leader, bool) {
					if mine && away.Load() {
						return nil, false
					}
					return local()
				}
			})
			v = cluster.Open(t, func(o *volume.Options) { change(o); o.Meta = s })
		default:
			v = cluster.Open(t, change)
		}
		fs := fuse.New(v, fuse.Options{Incarnation: 1, Deadline: 10 * time.Second, Log: log, KernelCache: keep && os.Getenv(noKernelEnv) == "", Calm: calm})
		m, err := fuse.NewMount(t.Context(), fs, path, fuse.MountOptions{Transport: transport(), Log: log, Debug: os.Getenv("HONEYANT_FUSE_DEBUG") != ""})
		if err != nil {
			fmt.Println("FAILED", err)
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		file = append(file, fs)
	}
	fmt.Println("READY")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "requests":
			all := map[string]uint64{}
			for _, fs := range file {
				for op, n := range fs.Requests() {
					all[op] += n
				}
			}
			raw, _ := json.Marshal(all)
			fmt.Println(string(raw))
		case "away", "back":
			away.Store(in.Text() == "away")
			fmt.Println("OK")
		case "kept":
			var all []fuse.KeptStats
			for _, fs := range file {
				all = append(all, fs.Kept())
			}
			fmt.Printf("%+v\n", all)
		case "cut":
			cluster.CutQuorum(true)
			fmt.Println("OK")
		case "heal":
			cluster.CutQuorum(false)
			fmt.Println("OK")
		case "inuse":
			files, dirs, requests := file[0].InUse()
			fmt.Println(files, dirs, requests)
		}
	}
}

// daemon is the process that serves the mounts of a test.
type daemon struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	paths []string
}

// needFuse skips where mounting is impossible.
func needFuse(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts are left out of short runs: make fuse runs them")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skip("needs FUSE: ", err)
	} else {
		_ = f.Close() // only asked whether it is there
	}
}

// serve mounts n volumes of one cluster.
func serve(t testing.TB, n int, env ...string) *daemon {
	t.Helper()
	needFuse(t)
	top, err := os.MkdirTemp("", "honeyant-fuse-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t}
	for i := range n {
		p := filepath.Join(top, fmt.Sprintf("m%d", i+1))
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
		d.paths = append(d.paths, p)
	}
	d.start(env...)
	t.Cleanup(func() {
		d.stop()
		for _, p := range d.paths {
			_ = fuse.Unmount(context.Background(), p) // normally gone
		}
		if err := os.RemoveAll(top); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *daemon) start(env ...string) {
	d.t.Helper()
	d.cmd = exec.Command(os.Args[0], "-test.run=^TestServe$", "-test.timeout=20m")
	d.cmd.Env = append(append(os.Environ(), env...), serveEnv+"="+strings.Join(d.paths, ":"))
	d.cmd.Stderr = os.Stderr
	in, err := d.cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.in, d.out = in, bufio.NewReader(out)
	if line := d.line(); line != "READY" {
		d.t.Fatalf("daemon: %s", line)
	}
}

func (d *daemon) line() string {
	d.t.Helper()
	for {
		s, err := d.out.ReadString('\n')
		if err != nil {
			d.t.Fatalf("daemon: %v (%s)", err, s)
		}
		if s = strings.TrimSpace(s); !strings.HasPrefix(s, "===") && s != "" {
			return s
		}
	}
}

func (d *daemon) ask(command string) string {
	d.t.Helper()
	if _, err := io.WriteString(d.in, command+"\n"); err != nil {
		d.t.Fatal(err)
	}
	return d.line()
}

// stop ends the daemon the orderly way; harmless twice.
func (d *daemon) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.in.Close() // the daemon sees the end of its input
	done := make(chan error, 1)
	var said []byte
	go func() {
		said, _ = io.ReadAll(d.out) // what it has against the way it ends; read before Wait closes it
		done <- d.cmd.Wait()
	}()
	select {
	case err := <-done:
		if err != nil {
			d.t.Errorf("daemon: %v: %s", err, said)
		}
	case <-time.After(60 * time.Second):
		_ = d.cmd.Process.Kill() // it is reported below
		d.t.Error("the daemon did not end within 60 s")
	}
	d.cmd = nil
}

// kill ends it as a crash would.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // may have ended
	_ = d.cmd.Wait()         // killed: not a success
	d.cmd = nil
}

// requests counts what fn makes the kernel ask.
func (d *daemon) requests(fn func()) map[string]int {
	d.t.Helper()
	count := func() map[string]int {
		m := map[string]int{}
		if err := json.Unmarshal([]byte(d.ask("requests")), &m); err != nil {
			d.t.Fatal(err)
		}
		return m
	}
	before := count()
	fn()
	after := count()
	for op := range after {
		after[op] -= before[op]
		if after[op] == 0 {
			delete(after, op)
		}
	}
	return after
}
