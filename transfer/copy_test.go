package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/transfer"
)

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b)
	return b
}

// richTree makes a tree with everything that a copy keeps.
func richTree(t *testing.T, root string) {
	t.Helper()
	write(t, root+"/empty", nil)
	write(t, root+"/small", []byte("some text\n"))
	write(t, root+"/large", noise(3*transfer.PartSize+17))
	write(t, root+"/text", bytes.Repeat([]byte("a line of text that repeats itself\n"), 100000))
	write(t, root+"/exact", noise(transfer.PartSize))
	write(t, root+"/dir/deep/er/file", []byte("deep"))
	write(t, root+"/odd \n\xff: name", []byte("odd"))
	must(t, os.Mkdir(root+"/empty dir", 0o750))
	must(t, os.Link(root+"/large", root+"/dir/large too"))
	must(t, os.Link(root+"/small", root+"/small too"))
	must(t, os.Symlink("../nowhere", root+"/dir/dangling"))
	must(t, os.Symlink("dir", root+"/to dir"))
	must(t, unix.Mkfifo(root+"/fifo", 0o640))
	must(t, os.Chmod(root+"/small", 0o4751))
	must(t, os.Chmod(root+"/dir", 0o1777))
	f, err := os.Create(root + "/sparse")
	must(t, err)
	must(t, f.Truncate(40<<20))
	_, err = f.WriteAt([]byte("in the middle"), 20<<20+5000)
	must(t, err)
	must(t, f.Close())
	if err := unix.Setxattr(root+"/large", "user.colour", []byte("amber"), 0); err == nil {
		must(t, unix.Setxattr(root+"/dir", "user.colour", []byte("brown"), 0))
	}
	if os.Geteuid() == 0 {
		must(t, os.Lchown(root+"/text", 1234, 4321))
		must(t, os.Lchown(root+"/to dir", 1234, 4321))
		must(t, unix.Mknod(root+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	}
	long := time.Date(1999, 12, 31, 23, 59, 58, 123456789, time.UTC)
	for _, name := range []string{"small", "dir/deep/er", "dir/deep", "dir", ""} {
		must(t, os.Chtimes(filepath.Join(root, name), long, long))
	}
}

// compare wants two trees to be the same in all that less keeps.
func compare(t *testing.T, a, b string, less func(*transfer.Entry)) {
	t.Helper()
	from, err := transfer.Names(a)
	must(t, err)
	to, err := transfer.Names(b)
	must(t, err)
	for path, e := range from {
		o, ok := to[path]
		if !ok {
			t.Errorf("%q was not copied", path)
			continue
		}
		for _, x := range []*transfer.Entry{&e, &o} {
			x.Ctime, x.Atime, x.Dev, x.Ino, x.Blocks = 0, 0, 0, 0, 0
			if x.Kind == transfer.Dir {
				x.Size, x.Links = 0, 0
			}
			less(x)
			x.Name = ""
		}
		if got, want := fmt.Sprintf("%+v", o), fmt.Sprintf("%+v", e); got != want {
			t.Errorf("%q:\n got %s\nwant %s", path, got, want)
		}
		if e.Kind != transfer.File {
			continue
		}
		x, err := os.ReadFile(filepath.Join(a, path))
		must(t, err)
		y, err := os.ReadFile(filepath.Join(b, path))
		must(t, err)
		if !bytes.Equal(x, y) {
			t.Errorf("%q: the content differs", path)
		}
	}
	for path := range to {
		if _, ok := from[path]; !ok {
			t.Errorf("%q came from nowhere", path)
		}
	}
}

func all(*transfer.Entry) {}

func run(t *testing.T, o transfer.Options) (*transfer.Report, error) {
	t.Helper()
	c, err := transfer.New(o)
	if err != nil {
		return nil, err
	}
	return c.Run(t.Context())
}

func TestCopyKeepsEverything(t *testing.T) {
	ssh := sshOptions(t)
	src := t.TempDir() + "/src"
	must(t, os.Mkdir(src, 0o755))
	richTree(t, src)
	for _, c := range []struct{ name, from, to string }{
		{"local", "", ""}, {"push", "", "peer:"}, {"pull", "peer:", ""}, {"both far", "peer:", "motd:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := t.TempDir() + "/dst"
			o := transfer.Options{Sources: []string{c.from + src}, Target: c.to + dst, Recursive: true, SSH: ssh, Compress: transfer.CompressZstd, Connections: 2}
			r, err := run(t, o)
			if err != nil {
				t.Fatal(err, r)
			}
			compare(t, src, dst, all)
			names, err := transfer.Names(dst)
			must(t, err)
			if blocks := names["sparse"].Blocks; blocks > 64 {
				t.Errorf("holes were filled: %d blocks", blocks)
			}
			if names["small"].Ino != names["small too"].Ino || names["large"].Ino != names["dir/large too"].Ino {
				t.Error("hard links became files of their own")
			}
			if !r.Verified || r.Failed != 0 || len(r.Errors) != 0 || r.Links != 2 {
				t.Errorf("report: %+v", r)
			}
			if c.name != "local" && (r.Wire == 0 || r.Wire >= r.Moved || !strings.HasPrefix(r.Compression, "zstd")) {
				t.Errorf("%d bytes travelled for %d: %s", r.Wire, r.Moved, r.Compression)
			}
			o.Exact = true
			again, err := run(t, o)
			must(t, err)
			if again.Moved != 0 || again.Files != 0 || again.Unchanged == 0 {
				t.Errorf("the second run copied: %+v", again)
			}
		})
	}
}

func TestCopyBySFTPKeepsWhatItCan(t *testing.T) {
	ssh := sshOptions(t)
	src := t.TempDir() + "/src"
	must(t, os.Mkdir(src, 0o755))
	richTree(t, src)
	must(t, os.Remove(src+"/fifo"))
	if os.Geteuid() == 0 {
		must(t, os.Remove(src+"/null"))
	}
	for _, c := range []struct{ name, from, to string }{{"push", "", "plain:"}, {"pull", "plain:", ""}} {
		t.Run(c.name, func(t *testing.T) {
			dst := t.TempDir() + "/dst"
			o := transfer.Options{Sources: []string{c.from + src}, Target: c.to + dst, Recursive: true, SSH: ssh}
			r, err := run(t, o)
			if err != nil {
				t.Fatal(err, r)
			}
			compare(t, src, dst, func(e *transfer.Entry) {
				e.Xattrs, e.Mtime = nil, e.Mtime/1e9
				if c.from != "" || e.Kind == transfer.Symlink {
					e.Links = 1
				}
				if e.Kind == transfer.Symlink {
					e.Mtime, e.UID, e.GID = 0, 0, 0
				}
				e.Mode &= 0o777 // what the test's server passes on
			})
			if r.Way != "sftp" || !slices.ContainsFunc(r.Notes, func(n transfer.Note) bool { return strings.Contains(n.Text, "SFTP was used") }) {
				t.Errorf("nobody was told: %+v", r)
			}
			o.Exact = true
			again, err := run(t, o)
			must(t, err)
			if again.Moved != 0 {
				t.Errorf("the second run copied %d bytes", again.Moved)
			}
		})
	}
}

func TestTargetDirectoryRules(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/src/f", []byte("f"))
	write(t, dir+"/other", []byte("other"))
	must(t, os.Mkdir(dir+"/into", 0o755))
	for _, c := range []struct {
		name    string
		o       transfer.Options
		appears string
	}{
		{"into a directory", transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/into", Recursive: true}, "into/src/f"},
		{"a new name", transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/new", Recursive: true}, "new/f"},
		{"exactly", transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/into", Recursive: true, Exact: true}, "into/f"},
		{"a file into a directory", transfer.Options{Sources: []string{dir + "/other"}, Target: dir + "/into/"}, "into/other"},
		{"a file to a name", transfer.Options{Sources: []string{dir + "/other"}, Target: dir + "/into/name"}, "into/name"},
		{"two", transfer.Options{Sources: []string{dir + "/other", dir + "/src"}, Target: dir + "/new", Recursive: true}, "new/src/f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := run(t, c.o)
			must(t, err)
			if _, err := os.Stat(filepath.Join(dir, c.appears)); err != nil {
				t.Error(err)
			}
		})
	}
	for _, c := range []struct {
		name string
		o    transfer.Options
	}{
		{"a directory without -r", transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/x"}},
		{"two onto one name", transfer.Options{Sources: []string{dir + "/src", dir + "/other"}, Target: dir + "/x", Recursive: true}},
		{"a directory onto a file", transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/other", Recursive: true}},
		{"a file onto a directory", transfer.Options{Sources: []string{dir + "/other"}, Target: dir + "/into", Exact: true}},
		{"nothing", transfer.Options{Target: dir + "/x"}},
		{"no such compression", transfer.Options{Sources: []string{dir + "/other"}, Target: dir + "/x", Compress: "gzip"}},
		{"dot without -T", transfer.Options{Sources: []string{"."}, Target: dir + "/into", Recursive: true}},
	} {
		t.Run("refuses "+c.name, func(t *testing.T) {
			if _, err := run(t, c.o); !errors.Is(err, honeyant.Invalid) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

func TestReplacesFilesAndMendsMetadata(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/src/a", []byte("new a"))
	write(t, dir+"/src/b", []byte("the same"))
	write(t, dir+"/dst/a", []byte("old"))
	must(t, os.Symlink("/etc/passwd", dir+"/dst/b"))
	write(t, dir+"/dst/mine", []byte("stays"))
	o := transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/dst", Recursive: true, Exact: true}
	_, err := run(t, o)
	must(t, err)
	must(t, os.Chmod(dir+"/src/b", 0o600))
	r, err := run(t, o)
	must(t, err)
	if r.Moved != 0 {
		t.Errorf("copied %d bytes again", r.Moved)
	}
	must(t, os.Rename(dir+"/dst/mine", dir+"/mine"))
	at, err := os.Stat(dir + "/src")
	must(t, err)
	must(t, os.Chtimes(dir+"/dst", at.ModTime(), at.ModTime()))
	compare(t, dir+"/src", dir+"/dst", all)
}

func TestDryRunChangesNothing(t *testing.T) {
	dir := t.TempDir()
	richTree(t, dir+"/src")
	must(t, os.Mkdir(dir+"/dst", 0o755))
	before, err := transfer.Names(dir)
	must(t, err)
	for _, target := range []string{"/dst", "/new"} {
		r, err := run(t, transfer.Options{Sources: []string{dir + "/src"}, Target: dir + target, Recursive: true, DryRun: true})
		must(t, err)
		if r.Files == 0 || r.Bytes == 0 || r.Moved != 0 {
			t.Errorf("report: %+v", r)
		}
	}
	after, err := transfer.Names(dir)
	must(t, err)
	for path, e := range after {
		e.Atime = 0
		b := before[path]
		b.Atime = 0
		if fmt.Sprint(e) != fmt.Sprint(b) {
			t.Errorf("%s changed:\n%+v\n%+v", path, b, e)
		}
	}
}

// What can not be read fails by its own name, the rest is copied.
func TestOneBadNameDoesNotStopTheRest(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/src/a/good", []byte("good"))
	write(t, dir+"/src/b", []byte("blocked by a directory"))
	write(t, dir+"/dst/b/full", []byte("x"))
	r, err := run(t, transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/dst", Recursive: true, Exact: true})
	if err == nil || r.Failed != 1 || len(r.Errors) != 1 || r.Errors[0].Path != dir+"/src/b" {
		t.Fatalf("%v: %+v", err, r)
	}
	if b, err := os.ReadFile(dir + "/dst/a/good"); string(b) != "good" {
		t.Error(err)
	}
}

func TestSourceThatChangesIsNotMixed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/src/large", noise(4*transfer.PartSize))
	c, err := transfer.New(transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/dst", Recursive: true})
	must(t, err)
	c.OnChange(func(change, path string) {
		if change == "write" {
			_ = os.WriteFile(dir+"/src/large", []byte("something else"), 0o644)
		}
	})
	r, err := c.Run(context.Background())
	if err == nil || r.Failed != 1 || !strings.Contains(r.Errors[0].Text, "changed") {
		t.Fatalf("%v: %+v", err, r)
	}
	if _, err := os.Lstat(dir + "/dst/large"); err == nil {
		t.Error("a mixture got the name")
	}
	_, err = run(t, transfer.Options{Sources: []string{dir + "/src"}, Target: dir + "/dst", Recursive: true})
	must(t, err)
	compare(t, dir+"/src", dir+"/dst", all)
}

// The disk gives back other bytes than were written: a large file's part is written again,
// and what does not become right never gets the name.
func TestVerificationFindsDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		change string // after which the damage is done
		times  int
		whole  bool
	}{
		{"once in a large file", 3 * transfer.PartSize, "synced", 1, true},
		{"always in a large file", 3 * transfer.PartSize, "synced", 1 << 30, false},
		{"in a small file", 1000, "write", 1 << 30, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/src/f", noise(c.size))
			must(t, os.Mkdir(dir+"/dst", 0o755))
			copier, err := transfer.New(transfer.Options{Sources: []string{dir + "/src/f"}, Target: dir + "/dst"})
			must(t, err)
			left := c.times
			copier.OnChange(func(change, _ string) {
				if change == c.change && left > 0 {
					left--
					f, err := os.OpenFile(dir+"/dst/"+transfer.BesideOf("f"), os.O_WRONLY, 0)
					if err == nil {
						_, _ = f.WriteAt([]byte("damage"), 500)
						f.Close()
					}
				}
			})
			r, err := copier.Run(context.Background())
			b, missing := os.ReadFile(dir + "/dst/f")
			if c.whole {
				if err != nil || !bytes.Equal(b, noise(c.size)) {
					t.Errorf("%v: %+v", err, r)
				}
				return
			}
			if err == nil || missing == nil || r.Failed != 1 {
				t.Errorf("damage went by: %v, %+v", err, r)
			}
		})
	}
}

func TestLostMachines(t *testing.T) {
	ssh := sshOptions(t)
	dir := t.TempDir()
	for i := range 40 {
		write(t, fmt.Sprintf("%s/src/%d", dir, i), noise(1000))
	}
	for _, c := range []struct{ name, source, target string }{
		{"not there", dir + "/src", "down:" + dir + "/dst"},
		{"lost on the way", dir + "/src", "dies:" + dir + "/dst"},
		{"not there to read", "down:" + dir + "/src", dir + "/dst2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := run(t, transfer.Options{Sources: []string{c.source}, Target: c.target, Recursive: true, SSH: ssh})
			if !errors.Is(err, honeyant.Unavailable) {
				t.Errorf("got %v, want unavailable", err)
			}
		})
	}
	o := transfer.Options{Sources: []string{dir + "/src"}, Target: "peer:" + dir + "/dst", Recursive: true, SSH: ssh}
	// The command line said "dies:" the first time; the same with the machine back.
	r, err := run(t, o)
	if err != nil {
		t.Fatal(err, r)
	}
	compare(t, dir+"/src", dir+"/dst", all)
}
