package config_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
)

func TestOpenDirIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := config.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, err = config.OpenDir(path)
	if !errors.Is(err, honeyant.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second lock: %v", err)
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	again, err := config.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestLockHolder is run by TestLockEndsWithTheProcess in a process of its own.
func TestLockHolder(t *testing.T) {
	path := os.Getenv("HONEYANT_TEST_DIR")
	if path == "" {
		t.Skip("only as a child")
	}
	d, err := config.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	fmt.Println("locked")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed or its parent ends
}

func TestLockEndsWithTheProcess(t *testing.T) {
	path := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestLockHolder$", "-test.v")
	child.Env = append(os.Environ(), "HONEYANT_TEST_DIR="+path)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	b := make([]byte, 256)
	for !strings.Contains(told.String(), "locked\n") {
		n, err := out.Read(b)
		told.Write(b[:n])
		if err != nil {
			t.Fatalf("child: %q %v", told.String(), err)
		}
	}
	_, err = config.OpenDir(path)
	if !errors.Is(err, honeyant.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", child.Process.Pid)) {
		t.Errorf("while the child lives: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	d, err := config.OpenDir(path)
	if err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	d.Close()
}

func TestOpenDirFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if _, err := config.OpenDir(path); !errors.Is(err, honeyant.NotDir) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := config.RefuseFUSE(filepath.Join(t.TempDir(), "not", "there")); err != nil {
		t.Error(err)
	}
}

// Rule 21: a directory inside a FUSE mount could be in our own.
func TestOpenDirInsideFUSE(t *testing.T) {
	mnt := t.TempDir()
	server, err := fs.Mount(mnt, &fs.Inode{}, nil)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	defer func() {
		if err := server.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	for _, path := range []string{mnt, filepath.Join(mnt, "a", "b")} {
		if _, err := config.OpenDir(path); !errors.Is(err, honeyant.Unsupported) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What a crash leaves at any point before the rename does not count, and is written over.
func TestWriteFileCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := config.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte("a longer torn leftover"), 0o644); err != nil {
		t.Fatal(err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "old" {
		t.Errorf("%q", raw)
	}
	if err := config.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if string(raw) != "new" || err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%q %v %v", raw, info.Mode(), err)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("leftover: %v", err)
	}
	if err := config.WriteFile(filepath.Join(path, "x"), nil, 0o600); err == nil {
		t.Error("wrote below a file")
	}
}
