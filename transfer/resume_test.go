package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/honeyant/honeyant/transfer"
)

// whole checks invariant T1: what has its name in the target has its content, old or new.
func whole(t *testing.T, src, dst string, old map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dst, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), transfer.OurNames) {
			return err
		}
		name, err := filepath.Rel(dst, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if want, err := os.ReadFile(filepath.Join(src, name)); err == nil && bytes.Equal(got, want) {
			return nil
		}
		if want, ok := old[name]; ok && bytes.Equal(got, want) {
			return nil
		}
		t.Errorf("%s has neither its old content nor the new", name)
		return nil
	})
	must(t, err)
}

// kill -9 at every change: names are never half-written, and the same command goes on.
func TestCrashByKillGoesOn(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	t.Setenv("TRANSFER_ACT", "copy")
	dir := t.TempDir()
	src, dst := dir+"/src", dir+"/dst"
	richTree(t, src)
	killed := 0
	for at := 1; ; at++ {
		if at > 60 {
			t.Fatal("it never ends")
		}
		t.Setenv("TRANSFER_KILL", fmt.Sprint(at))
		cmd := exec.Command(self, src, dst)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if err == nil {
			break
		}
		if code := cmd.ProcessState.ExitCode(); code != -1 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		killed++
		whole(t, src, dst, nil)
	}
	if killed < 5 {
		t.Errorf("killed only %d times", killed)
	}
	compare(t, src, dst, all)
}

// Parts that an interrupted copy left are not copied again.
func TestResumeKeepsParts(t *testing.T) {
	ssh := sshOptions(t)
	const parts = 6
	for _, c := range []struct{ name, from, to string }{{"local", "", ""}, {"push", "", "peer:"}, {"pull", "peer:", ""}, {"sftp push", "", "plain:"}, {"sftp pull", "plain:", ""}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/f", noise(parts*transfer.PartSize+5))
			must(t, os.Mkdir(dir+"/dst", 0o755))
			half(t, dir, parts/2)
			r, err := run(t, transfer.Options{Sources: []string{c.from + dir + "/f"}, Target: c.to + dir + "/dst", SSH: ssh})
			must(t, err)
			// SFTP does not tell the inode: to it the list is of another file
			// and which parts were first is chance: the short one may be among them
			least, total := int64((parts/2-1)*transfer.PartSize+5), int64(parts*transfer.PartSize+5)
			if !strings.HasPrefix(c.name, "sftp") && (r.Resumed < least || r.Resumed+r.Moved != total) {
				t.Errorf("resumed %d and moved %d of %d", r.Resumed, r.Moved, total)
			}
			got, err := os.ReadFile(dir + "/dst/f")
			must(t, err)
			if !bytes.Equal(got, noise(parts*transfer.PartSize+5)) {
				t.Error("the content differs")
			}
			left, err := os.ReadDir(dir + "/dst")
			must(t, err)
			if len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// half copies dir/f into dir/dst until some parts are written, and gives up.
func half(t *testing.T, dir string, parts int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := transfer.New(transfer.Options{Sources: []string{dir + "/f"}, Target: dir + "/dst", Jobs: 1})
	must(t, err)
	stopped := make(chan struct{}, 1000)
	c.OnChange(func(change, _ string) {
		if change == "write" {
			stopped <- struct{}{}
			if len(stopped) == parts {
				cancel()
			}
		}
	})
	if _, err := c.Run(ctx); err == nil {
		t.Fatal("it was not interrupted")
	}
	trimList(t, dir, parts)
}

// trimList lets the list of parts tell of so many, whatever was in flight.
func trimList(t *testing.T, dir string, parts int) {
	t.Helper()
	path := dir + "/dst/" + transfer.BesideOf("f") + ".parts"
	at, err := os.Stat(path)
	must(t, err)
	if size := int64(48 + 24*parts); at.Size() < size {
		t.Fatalf("the list has %d bytes, want %d", at.Size(), size)
	} else {
		must(t, os.Truncate(path, size+11)) // and a record that was cut off
	}
}

// Parts that are damaged, or a list that is, cost only being copied again.
func TestResumeDistrustsWhatLies(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, beside string)
	}{
		{"a damaged part", func(t *testing.T, beside string) { scribble(t, beside, 700) }},
		{"a damaged header", func(t *testing.T, beside string) { scribble(t, beside+".parts", 20) }},
		{"a damaged record", func(t *testing.T, beside string) { scribble(t, beside+".parts", 60) }},
		{"no list", func(t *testing.T, beside string) { must(t, os.Remove(beside+".parts")) }},
		{"no content", func(t *testing.T, beside string) { must(t, os.Remove(beside)) }},
		{"shorter content", func(t *testing.T, beside string) { must(t, os.Truncate(beside, 5)) }},
		{"a link to elsewhere", func(t *testing.T, beside string) {
			must(t, os.Remove(beside))
			must(t, os.Link(filepath.Dir(filepath.Dir(beside))+"/precious", beside))
		}},
		{"another source", func(t *testing.T, beside string) {
			write(t, filepath.Dir(filepath.Dir(beside))+"/f", noise(8 * transfer.PartSize)[1:])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/f", noise(8*transfer.PartSize))
			write(t, dir+"/precious", []byte("precious"))
			must(t, os.Mkdir(dir+"/dst", 0o755))
			half(t, dir, 4)
			c.damage(t, dir+"/dst/"+transfer.BesideOf("f"))
			_, err := run(t, transfer.Options{Sources: []string{dir + "/f"}, Target: dir + "/dst"})
			must(t, err)
			want, err := os.ReadFile(dir + "/f")
			must(t, err)
			got, err := os.ReadFile(dir + "/dst/f")
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Error("the content differs")
			}
			if b, err := os.ReadFile(dir + "/precious"); string(b) != "precious" {
				t.Error("a file outside the target was changed", err)
			}
		})
	}
}

func scribble(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("scribble"), at)
	must(t, err)
	must(t, f.Close())
}

// A power cut: at each change the copy's directory is taken over as a disk might have it
// that kept only what was synced: content written since its last sync is zeros, and any
// name that no sync of its directory has covered may be missing. Names are never
// half-written there, and the same command completes it.
func TestCrashByPowerCut(t *testing.T) {
	dir := t.TempDir()
	src := dir + "/src"
	write(t, src+"/large", noise(2*transfer.PartSize+100))
	write(t, src+"/a/small", []byte("small"))
	write(t, src+"/a/b/other", []byte("other"))
	write(t, src+"/old", []byte("new content"))
	old := map[string][]byte{"old": []byte("old content")}
	changes := 0
	for cut := 1; ; cut++ {
		seed := uint64(cut)
		base := fmt.Sprintf("%s/%d", dir, cut)
		write(t, base+"/dst/old", old["old"])
		c, err := transfer.New(transfer.Options{Sources: []string{src}, Target: base + "/dst", Recursive: true, Exact: true, Jobs: 1})
		must(t, err)
		disk := &syncedOnly{target: base + "/dst", unsynced: map[string]bool{}, unsealed: map[string]bool{}}
		ctx, cancel := context.WithCancel(t.Context())
		var one sync.Mutex // guards n
		n := 0
		c.OnChange(func(change, path string) {
			one.Lock() // files are finished by several at once
			defer one.Unlock()
			if n++; n > cut {
				return
			}
			disk.did(change, path)
			if n == cut {
				disk.take(t, base+"/cut", rand.New(rand.NewPCG(seed, 1)))
				cancel()
			}
		})
		_, err = c.Run(ctx)
		cancel()
		if n < cut {
			must(t, err)
			changes = n
			break
		}
		whole(t, src, base+"/cut", old)
		_, err = run(t, transfer.Options{Sources: []string{src}, Target: base + "/cut", Recursive: true, Exact: true})
		must(t, err)
		compare(t, src, base+"/cut", all)
		if t.Failed() {
			t.Fatalf("after change %d, seed %d", cut, seed)
		}
	}
	if changes < 15 {
		t.Errorf("only %d changes were tried", changes)
	}
}

// syncedOnly remembers what a power cut may lose.
type syncedOnly struct {
	target string

	mu       sync.Mutex      // guards below
	unsynced map[string]bool // final names whose content, still beside, is not synced
	unsealed map[string]bool // names that their directory's sync has not covered
}

func (d *syncedOnly) did(change, path string) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, d.target), "/") // fill says the whole path
	d.mu.Lock()
	defer d.mu.Unlock()
	switch change {
	case "write":
		d.unsynced[path] = true
	case "synced":
		delete(d.unsynced, path)
	case "rename", "mkdir":
		d.unsealed[path] = true
	case "seal":
		for name := range d.unsealed {
			if parent := filepath.Dir(name); parent == path || parent == "." && path == "" {
				delete(d.unsealed, name)
			}
		}
	}
}

func (d *syncedOnly) take(t *testing.T, to string, r *rand.Rand) {
	d.mu.Lock() // workers go on meanwhile
	defer d.mu.Unlock()
	err := os.CopyFS(to, os.DirFS(d.target))
	for range 20 { // other files of the copy come and get their names meanwhile: listed twice, or gone
		if err == nil {
			break
		}
		must(t, os.RemoveAll(to))
		err = os.CopyFS(to, os.DirFS(d.target))
	}
	must(t, err)
	for name := range d.unsynced {
		// the name itself too, should the copy have renamed without a sync
		for _, path := range []string{filepath.Join(to, filepath.Dir(name), transfer.BesideOf(filepath.Base(name))), filepath.Join(to, name)} {
			if at, err := os.Stat(path); err == nil && (name != "old" || filepath.Base(path) != "old") {
				must(t, os.Truncate(path, 0))
				must(t, os.Truncate(path, at.Size()))
			}
		}
	}
	for name := range d.unsealed {
		if r.IntN(2) == 0 && name != "old" { // a rename over a name leaves one of the two
			must(t, os.RemoveAll(filepath.Join(to, name)))
		}
	}
}
