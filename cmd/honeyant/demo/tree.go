package demo

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is a file to copy: its path below the source directory and what it holds.
type source struct {
	rel  string
	path string
	size int64
	sum  [sha256.Size]byte
}

// The demo takes this much of a large tree, so that it ends in about a minute.
const (
	maxFiles = 1200
	maxBytes = 160 << 20
)

// defaultSource is the Go sources of this machine, or the present directory.
func defaultSource() string {
	candidates := []string{os.Getenv("GOROOT"), "/usr/local/go", "/usr/lib/go"}
	if out, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		candidates = append([]string{strings.TrimSpace(string(out))}, candidates...)
	}
	for _, dir := range candidates {
		if dir == "" {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, "src")); err == nil && info.IsDir() {
			return dir
		}
	}
	return "."
}

// collect walks dir and reads every file once for its sum. Of a Go tree it takes the
// largest binary too, so that there is a large file among the small ones.
func collect(dir string) (list []source, total int64, cut bool, err error) {
	add := func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		list = append(list, source{rel: rel, path: path, size: int64(len(data)), sum: sha256.Sum256(data)})
		total += int64(len(data))
		return nil
	}
	walk := dir
	if binary := filepath.Join(dir, "bin", "go"); isFile(binary) {
		if err := add(binary); err != nil {
			return nil, 0, false, err
		}
		walk = filepath.Join(dir, "src")
	}
	err = filepath.WalkDir(walk, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if len(list) >= maxFiles || total >= maxBytes {
			cut = true
			return filepath.SkipAll
		}
		return add(path)
	})
	if err == nil && len(list) < 4 {
		err = fmt.Errorf("%s holds %d files; give --from a directory with more", dir, len(list))
	}
	return list, total, cut, err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
