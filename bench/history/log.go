package history

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// suffix of the files of a history.
const suffix = ".history"

// FileOf is the file of a history directory that the runs of this machine belong to. Two
// machines of one name have two files if their machine IDs are known.
func FileOf(dir string, h bench.Host) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, h.Name)
	name = name[:min(len(name), 60)]
	if name == "" {
		name = "machine"
	}
	if m := h.Machine; len(m) >= 8 && strings.Trim(m[:8], "0123456789abcdef") == "" {
		name += "-" + m[:8]
	}
	return filepath.Join(dir, name+suffix)
}

// Append adds a run to its machine's file in dir, which is made if it is missing, and returns
// when it is on stable storage. It waits for another appender until ctx ends. Errors: NoSpace,
// Permission and the like of the file system, Corrupt if the file is no history; nothing of the run is left then.
func Append(ctx context.Context, dir string, run *bench.Run) error {
	const op = "history.Append"
	line, err := Line(run)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return honeyant.E(op, kindOf(err), dir, err)
	}
	path := FileOf(dir, run.Host)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return honeyant.E(op, kindOf(err), path, err)
	}
	defer f.Close()
	if err := lock(ctx, f); err != nil {
		return honeyant.E(op, kindOf(err), path, err)
	}
	end, err := trimTail(f)
	if err != nil {
		return honeyant.E(op, kindOf(err), path, err)
	}
	if err := write(f, line, end); err != nil {
		return honeyant.E(op, kindOf(err), path, errors.Join(err, f.Truncate(end)))
	}
	if end == 0 {
		if err := syncDir(dir); err != nil {
			return honeyant.E(op, kindOf(err), dir, err)
		}
	}
	return nil
}

func write(f *os.File, line []byte, at int64) error {
	if _, err := f.WriteAt(line, at); err != nil {
		return err
	}
	return f.Sync()
}

// lock takes the file's lock for as long as f is open.
func lock(ctx context.Context, f *os.File) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return honeyant.E("", honeyant.Unavailable, "", fmt.Errorf("another program holds the history: %w", context.Cause(ctx)))
		case <-time.After(wait):
		}
	}
}

// trimTail cuts off a line without its end, which only a crash in an Append leaves, and tells
// where the next line begins. A file that does not begin like a history is left alone.
func trimTail(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	if size == 0 {
		return 0, nil
	}
	head := make([]byte, min(size, int64(len(family))))
	if _, err := f.ReadAt(head, 0); err != nil {
		return 0, err
	}
	torn := bytes.Trim(head, "\x00") // lengths may reach the disk before bytes do
	if !strings.HasPrefix(family, string(torn)) {
		return 0, honeyant.E("", honeyant.Corrupt, "", errors.New("this file is no history of honeyant"))
	}
	end, buf := size, make([]byte, 64<<10)
	for end > 0 {
		n := min(end, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			end = end - n + int64(i) + 1
			break
		}
		end -= n
	}
	if end == size {
		return end, nil
	}
	return end, f.Truncate(end)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// kindOf is Internal where the operating system says nothing better.
func kindOf(err error) honeyant.Kind { return cmp.Or(honeyant.KindOfSystem(err), honeyant.Internal) }

// Damage is a line that could not be read.
type Damage struct {
	File string `json:"file"`
	Line int    `json:"line"` // counted from 1
	Err  error  `json:"-"`
	Text string `json:"error"`
}

// Load reads all runs of a history directory, oldest first; a directory that does not exist is
// an empty history. Lines that can not be read are told and skipped, and so is, silently, a last
// line without its end. A path to a file reads that history file only. A run that stands there
// twice counts once.
func Load(path string) ([]*bench.Run, []Damage, error) {
	var runs []*bench.Run
	seen := map[string]bool{}
	damage, err := Each(path, func(r *bench.Run) error {
		if !seen[r.ID] {
			runs = append(runs, r)
		}
		seen[r.ID] = r.ID != ""
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	SortByTime(runs)
	return runs, damage, nil
}

// Each calls f with one run after the other, file by file, holding no more than one; an error
// of f ends it and is returned as it is. Otherwise as Load.
func Each(path string, f func(*bench.Run) error) ([]Damage, error) {
	const op = "history.Load"
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, honeyant.E(op, kindOf(err), path, err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "*"+suffix)); err != nil {
			return nil, honeyant.E(op, honeyant.Invalid, path, err)
		}
	}
	var damage []Damage
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, honeyant.E(op, kindOf(err), name, err)
		}
		var stopped error
		d, err := each(file, name, func(r *bench.Run) error {
			stopped = f(r)
			return stopped
		})
		file.Close()
		switch {
		case stopped != nil:
			return nil, stopped
		case err != nil:
			return nil, honeyant.E(op, kindOf(err), name, err)
		}
		damage = append(damage, d...)
	}
	return damage, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func each(in io.Reader, name string, f func(*bench.Run) error) (damage []Damage, err error) {
	lines := newLines(in)
	for n := 1; ; n++ {
		line, whole, err := lines.next()
		if err != nil {
			return nil, err
		}
		if !whole {
			return damage, nil
		}
		run, err := ParseLine(line)
		if err != nil {
			damage = append(damage, Damage{name, n, err, err.Error()})
			continue
		}
		if err := f(run); err != nil {
			return damage, err
		}
	}
}
