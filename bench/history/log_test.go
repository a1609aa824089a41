package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

func aRun(host, id string, began time.Time, results ...bench.Result) *bench.Run {
	return &bench.Run{Schema: bench.Schema, ID: id, Began: began, Ended: began, Profile: "quick",
		Host: bench.Host{Name: host, Machine: "0123456789abcdef"}, Results: results}
}

func day(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }

func mustAppend(t *testing.T, dir string, r *bench.Run) {
	t.Helper()
	if err := history.Append(t.Context(), dir, r); err != nil {
		t.Fatal(err)
	}
}

func ids(runs []*bench.Run) string {
	var all []string
	for _, r := range runs {
		all = append(all, r.ID)
	}
	return strings.Join(all, " ")
}

func TestRunsOfAllMachinesComeBackByTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "history")
	if runs, _, err := history.Load(dir); err != nil || len(runs) != 0 {
		t.Fatalf("a history that is not there: %v, %v", runs, err)
	}
	mustAppend(t, dir, aRun("b", "2", day(2)))
	mustAppend(t, dir, aRun("a/../x", "3", day(3)))
	mustAppend(t, dir, aRun("b", "1", day(1)))
	runs, damage, err := history.Load(dir)
	if err != nil || len(damage) != 0 || ids(runs) != "1 2 3" {
		t.Fatalf("%v, %v, %v", ids(runs), damage, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("%d files for two machines", len(files))
	}
}

// Lengths at which a crash can cut the last append, each byte of its head and tail among them: the
// runs before it stay, the next append leaves no trace of it.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, dir, aRun("m", "1", day(1)))
	path := history.FileOf(dir, aRun("m", "", day(1)).Host)
	first, _ := os.ReadFile(path)
	mustAppend(t, dir, aRun("m", "2", day(2)))
	both, _ := os.ReadFile(path)
	for cut := len(first); cut < len(both); cut++ {
		if cut > len(first)+30 && cut < len(both)-5 && cut%41 != 0 {
			continue
		}
		for _, filled := range []bool{false, true} { // or the length is there and the bytes are not
			torn := bytes.Clone(both[:cut])
			if filled {
				torn = append(torn, make([]byte, len(both)-cut)...)
			}
			if err := os.WriteFile(path, torn, 0o644); err != nil {
				t.Fatal(err)
			}
			runs, damage, err := history.Load(dir)
			if err != nil || len(damage) != 0 || ids(runs) != "1" {
				t.Fatalf("cut at %d: %q, %v, %v", cut, ids(runs), damage, err)
			}
			mustAppend(t, dir, aRun("m", "3", day(3)))
			if runs, damage, _ := history.Load(dir); ids(runs) != "1 3" || len(damage) != 0 {
				t.Fatalf("cut at %d, after another append: %q, %v", cut, ids(runs), damage)
			}
		}
	}
}

func TestTornFirstLine(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, dir, aRun("m", "1", day(1)))
	path := history.FileOf(dir, aRun("m", "", day(1)).Host)
	whole, _ := os.ReadFile(path)
	for _, torn := range [][]byte{whole[:3], whole[:len(whole)-1], make([]byte, 100), {}} {
		if err := os.WriteFile(path, torn, 0o644); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, dir, aRun("m", "2", day(2)))
		if runs, damage, err := history.Load(dir); ids(runs) != "2" || len(damage) != 0 || err != nil {
			t.Fatalf("after %d bytes: %q, %v, %v", len(torn), ids(runs), damage, err)
		}
	}
}

func TestDamageCostsOneRun(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		mustAppend(t, dir, aRun("m", fmt.Sprint(i), day(i+1)))
	}
	path := history.FileOf(dir, aRun("m", "", day(1)).Host)
	whole, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines[1][len(lines[1])/2] ^= 1
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	runs, damage, err := history.Load(dir)
	if err != nil || ids(runs) != "0 2" || len(damage) != 1 || damage[0].Line != 2 || !errors.Is(damage[0].Err, honeyant.Corrupt) {
		t.Fatalf("%q, %v, %v", ids(runs), damage, err)
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := history.FileOf(dir, aRun("m", "", day(1)).Host)
	const mine = "dear diary, no newline here"
	if err := os.WriteFile(path, []byte(mine), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := history.Append(t.Context(), dir, aRun("m", "1", day(1))); !errors.Is(err, honeyant.Corrupt) {
		t.Errorf("appending to a diary: %v", err)
	}
	if now, _ := os.ReadFile(path); string(now) != mine {
		t.Errorf("the diary now reads %q", now)
	}
}

func TestNewerFormsAreNamed(t *testing.T) {
	line, err := history.Line(aRun("m", "1", day(1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := history.ParseLine(bytes.Replace(line, []byte("history/1"), []byte("history/2"), 1)); !errors.Is(err, honeyant.Unsupported) {
		t.Errorf("a newer line: %v", err)
	}
	bad := aRun("m", "1", day(1))
	bad.Schema = "honeyant-bench/0"
	if _, err := history.Line(bad); !errors.Is(err, honeyant.Unsupported) {
		t.Errorf("an old schema: %v", err)
	}
	if err := history.Append(t.Context(), t.TempDir(), bad); !errors.Is(err, honeyant.Unsupported) {
		t.Errorf("appending an old schema: %v", err)
	}
}

func TestAppendersDoNotMix(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := history.Append(t.Context(), dir, aRun("m", fmt.Sprint(i), day(1))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs, damage, err := history.Load(dir); len(runs) != 20 || len(damage) != 0 || err != nil {
		t.Errorf("%d runs, %v, %v", len(runs), damage, err)
	}
}

func TestAppendGivesUpOnALockedFile(t *testing.T) {
	dir := t.TempDir()
	mustAppend(t, dir, aRun("m", "1", day(1)))
	release := hold(t, history.FileOf(dir, aRun("m", "", day(1)).Host))
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := history.Append(ctx, dir, aRun("m", "2", day(2))); !errors.Is(err, honeyant.Unavailable) {
		t.Errorf("with the file locked: %v", err)
	}
}

func FuzzParseLine(f *testing.F) {
	line, _ := history.Line(aRun("m", "1", day(1)))
	f.Add(line)
	f.Add([]byte("honeyant-history/9 00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		run, err := history.ParseLine(b)
		if err != nil {
			return
		}
		again, err := history.Line(run)
		if err != nil {
			t.Fatalf("what was read can not be written: %v", err)
		}
		if back, err := history.ParseLine(again); err != nil || back.ID != run.ID {
			t.Fatalf("written again it reads %v, %v", back, err)
		}
	})
}
