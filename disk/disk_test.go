package disk_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
)

// both runs a test on the real thing and on the fake.
func both(t *testing.T, test func(t *testing.T, fs disk.FS)) {
	t.Run("dir", func(t *testing.T) {
		fs, err := disk.OpenDir(filepath.Join(t.TempDir(), "a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, fs)
	})
	t.Run("memory", func(t *testing.T) { test(t, disk.NewMemory(1<<30)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind honeyant.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want kind %v", err, kind)
	}
}

func TestNames(t *testing.T) {
	both(t, func(t *testing.T, fs disk.FS) {
		f, err := fs.Create("one")
		must(t, err)
		_, err = fs.Create("one")
		wantKind(t, err, honeyant.Exist)
		_, err = fs.Open("two")
		wantKind(t, err, honeyant.NotExist)
		wantKind(t, fs.Remove("two"), honeyant.NotExist)
		wantKind(t, fs.Rename("two", "three"), honeyant.NotExist)
		must(t, fs.Rename("one", "two"))
		sub, err := fs.Sub("sub")
		must(t, err)
		g, err := sub.Create("one")
		must(t, err)
		must(t, g.Close())
		names, err := fs.List()
		must(t, err)
		if !slices.Equal(names, []string{"sub", "two"}) {
			t.Fatal(names)
		}
		_, err = f.WriteAt([]byte("still there"), 0)
		must(t, err)
		must(t, fs.Remove("two"))
		b := make([]byte, 11)
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != "still there" {
			t.Fatal(string(b), err)
		}
		must(t, f.Close())
		for _, bad := range []string{"", ".", "..", "a/b", "../x", "a\x00"} {
			_, err := fs.Create(bad)
			wantKind(t, err, honeyant.Invalid)
			_, err = fs.Open(bad)
			wantKind(t, err, honeyant.Invalid)
			_, err = fs.Sub(bad)
			wantKind(t, err, honeyant.Invalid)
			_, err = fs.Lock(bad)
			wantKind(t, err, honeyant.Invalid)
			wantKind(t, fs.Remove(bad), honeyant.Invalid)
			if fs.Rename(bad, "ok") == nil || fs.Rename("ok", bad) == nil {
				t.Fatal(bad)
			}
		}
		must(t, fs.SyncDir())
	})
}

func TestReadWriteReservePunchTruncate(t *testing.T) {
	both(t, func(t *testing.T, fs disk.FS) {
		f, err := fs.Create("f")
		must(t, err)
		defer f.Close()
		must(t, f.Reserve(0, 64<<10))
		if n, _ := f.Size(); n != 0 {
			t.Fatalf("Reserve changed the size to %d", n)
		}
		data := bytes.Repeat([]byte("0123456789abcdef"), 2048) // 32 KiB
		_, err = f.WriteAt(data, 1000)
		must(t, err)
		must(t, f.Sync())
		must(t, f.DropCache(0, 0))
		must(t, f.Expect(0, 64<<10))
		got := make([]byte, len(data))
		_, err = f.ReadAt(got, 1000)
		must(t, err)
		if !bytes.Equal(got, data) {
			t.Fatal("other bytes")
		}
		must(t, f.Punch(4096, 8192))
		_, err = f.ReadAt(got[:8192], 4096)
		must(t, err)
		if !bytes.Equal(got[:8192], make([]byte, 8192)) {
			t.Fatal("a hole is not zero")
		}
		if _, err := f.ReadAt(got[:1], 12288); err != nil || got[0] != data[12288-1000] {
			t.Fatal("the hole is too large", err)
		}
		n, err := f.ReadAt(got, 32000)
		if err != io.EOF || n != 1000+len(data)-32000 {
			t.Fatal(n, err)
		}
		must(t, f.Truncate(5000))
		must(t, f.Truncate(6000))
		if n, _ := f.Size(); n != 6000 {
			t.Fatal(n)
		}
	})
}

func TestTruncateFreesWhatIsReserved(t *testing.T) {
	dir := t.TempDir()
	fs, err := disk.OpenDir(dir)
	must(t, err)
	f, err := fs.Create("f")
	must(t, err)
	defer f.Close()
	must(t, f.Reserve(0, 1<<20))
	_, err = f.WriteAt([]byte("x"), 100)
	must(t, err)
	must(t, f.Truncate(4096)) // growing
	var st syscall.Stat_t
	must(t, syscall.Stat(filepath.Join(dir, "f"), &st))
	if st.Blocks*512 > 8192 {
		t.Skipf("this file system keeps %d bytes", st.Blocks*512)
	}
}

func TestLock(t *testing.T) {
	both(t, func(t *testing.T, fs disk.FS) {
		l, err := fs.Lock("LOCK")
		must(t, err)
		_, err = fs.Lock("LOCK")
		wantKind(t, err, honeyant.Conflict)
		must(t, l.Close())
		l, err = fs.Lock("LOCK")
		must(t, err)
		must(t, l.Close())
	})
}

func TestSpace(t *testing.T) {
	both(t, func(t *testing.T, fs disk.FS) {
		s, err := fs.Space()
		must(t, err)
		if s.Total <= 0 || s.Free <= 0 || s.Free > s.Total {
			t.Fatalf("%+v", s)
		}
	})
}

func TestOpenDirRefusesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, nil, 0o600))
	_, err := disk.OpenDir(path)
	wantKind(t, err, honeyant.NotDir)
}

func TestCapacity(t *testing.T) {
	fs := disk.NewMemory(16 << 10)
	f, err := fs.Create("f")
	must(t, err)
	wantKind(t, f.Reserve(0, 20<<10), honeyant.NoSpace)
	must(t, f.Reserve(0, 16<<10))
	_, err = f.WriteAt(make([]byte, 16<<10), 0) // reserved: no more is needed
	must(t, err)
	_, err = f.WriteAt([]byte{1}, 16<<10)
	wantKind(t, err, honeyant.NoSpace)
	must(t, f.Punch(0, 4096))
	_, err = f.WriteAt([]byte{1}, 16<<10)
	must(t, err)
	must(t, fs.Remove("f"))
	if fs.Used() != 16<<10 {
		t.Fatal("an open file gave its space back")
	}
	must(t, f.Close())
	if fs.Used() != 0 {
		t.Fatal(fs.Used())
	}
}

// What is synced survives, what is not may or may not, and both happen [K1].
func TestCrashKeepsWhatIsSynced(t *testing.T) {
	kept, lost, named, unnamed := 0, 0, 0, 0
	for seed := range uint64(50) {
		fs := disk.NewMemory(0)
		f, err := fs.Create("synced")
		must(t, err)
		_, err = f.WriteAt([]byte("old"), 0)
		must(t, err)
		must(t, f.Sync())
		must(t, fs.SyncDir())
		_, err = f.WriteAt([]byte("new"), 4096)
		must(t, err)
		_, err = fs.Create("unsynced")
		must(t, err)
		c := fs.Crash(rand.New(rand.NewPCG(seed, 0)))
		g, err := c.Open("synced")
		must(t, err)
		b := make([]byte, 3)
		if _, err := g.ReadAt(b, 0); err != nil || string(b) != "old" {
			t.Fatalf("seed %d: %q, %v", seed, b, err)
		}
		if _, err := g.ReadAt(b, 4096); err == nil && string(b) == "new" {
			kept++
		} else {
			lost++
		}
		if _, err := c.Open("unsynced"); err == nil {
			named++
		} else {
			unnamed++
		}
	}
	if kept == 0 || lost == 0 || named == 0 || unnamed == 0 {
		t.Fatal("always the same:", kept, lost, named, unnamed)
	}
}

// unsynced has a file "f" whose name is durable and whose content, "x", is not.
func unsynced(t *testing.T) (*disk.Memory, disk.File) {
	t.Helper()
	fs := disk.NewMemory(0)
	f, err := fs.Create("f")
	must(t, err)
	must(t, fs.SyncDir())
	_, err = f.WriteAt([]byte("x"), 0)
	must(t, err)
	return fs, f
}

// A failed sync makes the data clean but not durable [K2].
func TestFailedSyncLosesForGood(t *testing.T) {
	lost := false
	for seed := range uint64(20) {
		fs, f := unsynced(t)
		remove := fs.Inject(disk.Fault{Op: disk.OpSync, Pattern: "f*", Err: syscall.EIO})
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		remove()
		must(t, f.Sync())
		g, err := fs.Crash(rand.New(rand.NewPCG(seed, 0))).Open("f")
		must(t, err)
		b := make([]byte, 1)
		_, _ = g.ReadAt(b, 0)
		lost = lost || b[0] == 0
	}
	if !lost {
		t.Fatal("the second sync made the data durable")
	}
}

func TestKillKeepsWhatIsWrittenAndDoesNotSyncIt(t *testing.T) {
	lost := false
	for seed := range uint64(20) {
		fs, _ := unsynced(t)
		k := fs.Kill()
		g, err := k.Open("f")
		must(t, err)
		b := make([]byte, 1)
		if _, err := g.ReadAt(b, 0); err != nil || b[0] != 'x' {
			t.Fatal(err, b)
		}
		g, err = k.Crash(rand.New(rand.NewPCG(seed, 0))).Open("f")
		must(t, err)
		b[0] = 0
		_, _ = g.ReadAt(b, 0)
		lost = lost || b[0] == 0
	}
	if !lost {
		t.Fatal("a killed process synced")
	}
}

func TestFaults(t *testing.T) {
	fs := disk.NewMemory(0)
	fs.Inject(disk.Fault{Op: disk.OpWrite, Pattern: "*.seg", Nth: 2, Err: syscall.ENOSPC})
	f, err := fs.Create("a.seg")
	must(t, err)
	g, err := fs.Create("b")
	must(t, err)
	for i := range 4 {
		_, err := g.WriteAt([]byte{1}, 0)
		must(t, err)
		_, err = f.WriteAt([]byte{1}, 0)
		if (i == 1) != errors.Is(err, honeyant.NoSpace) {
			t.Fatal(i, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		fs.Inject(disk.Fault{Op: disk.OpRead, Delay: time.Minute})
		begin := time.Now()
		_, err := g.ReadAt(make([]byte, 1), 0)
		must(t, err)
		if time.Since(begin) != time.Minute {
			t.Fatal("not slow")
		}
	})
}

func TestCutPower(t *testing.T) {
	fs := disk.NewMemory(0)
	f, err := fs.Create("f")
	must(t, err)
	fs.CutPower(2)
	_, err = f.WriteAt([]byte{1}, 0)
	must(t, err)
	if f.Sync() == nil || fs.SyncDir() == nil {
		t.Fatal("works without power")
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
		t.Fatal("reads without power")
	}
}

func TestWithoutHoles(t *testing.T) {
	f, err := disk.NewMemory(0).WithoutHoles().Create("f")
	must(t, err)
	wantKind(t, f.Reserve(0, 1), honeyant.Unsupported)
	wantKind(t, f.Punch(0, 4096), honeyant.Unsupported)
}
