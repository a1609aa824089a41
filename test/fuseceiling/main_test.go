package main

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/test/fsx"
)

// serveEnv makes TestServe mount, "transport:path".
const serveEnv = "FUSECEILING_SERVE"

// TestServe is no test: the process that runs it serves the mount of the other, because a mount must not be used from
// the process that serves it.
func TestServe(t *testing.T) {
	transport, path, ok := strings.Cut(os.Getenv(serveEnv), ":")
	if !ok {
		t.Skip("run by the other test")
	}
	server, err := fuse.Connect(newMemory(time.Minute), path, mountOptions(8<<20), fuse.ConnectOptions{Transport: fuse.Transport(transport), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("FAILED", err)
		return
	}
	fmt.Println("READY")
	server.Serve()
}

// TestMemory checks that the ceiling is that of a file system: what it answers fast must be right.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("mounts are left out of short runs: make fuse runs them")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	for _, transport := range []fuse.Transport{fuse.TransportDev, fuse.TransportURing} {
		t.Run(string(transport), func(t *testing.T) {
			path := t.TempDir()
			serve := exec.Command(os.Args[0], "-test.run=^TestServe$", "-test.timeout=5m")
			serve.Env = append(os.Environ(), serveEnv+"="+string(transport)+":"+path)
			out, err := serve.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := serve.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "READY" {
				if why, failed := strings.CutPrefix(lines.Text(), "FAILED"); failed {
					_ = serve.Wait()
					t.Skip("no such transport here:", why)
				}
			}
			t.Cleanup(func() {
				if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
				if err := serve.Wait(); err != nil {
					t.Error(err)
				}
			})
			names(t, path)
			fsx.Run(t, []string{path}, fsx.Options{Seed: uint64(time.Now().UnixNano()), Ops: 300})
		})
	}
}

func names(t *testing.T, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("mkdir", os.MkdirAll(at("a/b"), 0o755))
	check("write", os.WriteFile(at("a/b/f"), []byte("content"), 0o644))
	check("rename", os.Rename(at("a/b/f"), at("a/g")))
	check("link", os.Link(at("a/g"), at("a/h")))
	check("symlink", os.Symlink("g", at("a/s")))
	check("unlink", os.Remove(at("a/g")))
	if got, err := os.ReadFile(at("a/h")); err != nil || string(got) != "content" {
		t.Errorf("read: %q, %v", got, err)
	}
	if _, err := os.Stat(at("a/s")); !os.IsNotExist(err) {
		t.Errorf("stat through a symbolic link to nothing: %v", err)
	}
	list, err := os.ReadDir(at("a"))
	check("list", err)
	if len(list) != 3 || list[0].Name() != "b" || list[1].Name() != "h" || list[2].Name() != "s" {
		t.Errorf("list: %v", list)
	}
	if err := os.Remove(at("a")); err == nil {
		t.Error("a directory that is not empty was removed")
	}
	check("remove", os.RemoveAll(at("a")))
	list, err = os.ReadDir(dir)
	check("list", err)
	if len(list) != 0 {
		t.Errorf("list: %v", list)
	}
}

var _ gofuse.RawFileSystem = (*memory)(nil)
