package posix_test

import (
	"os"
	"testing"

	"github.com/honeyant/honeyant/test/posix"
)

// TestPosix runs the suite on the directory HONEYANT_POSIX_DIR, or on the local disk, which
// proves the suite itself. HONEYANT_POSIX_ONLY takes the beginning of case names, and
// HONEYANT_POSIX_MOUNT says that the directory is on a Honeyant mount.
func TestPosix(t *testing.T) {
	dir := os.Getenv("HONEYANT_POSIX_DIR")
	if dir == "" {
		dir = t.TempDir()
		for p := dir; p != os.TempDir() && p != "/"; p = parent(p) {
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := posix.Options{OtherDir: otherDir(), Only: os.Getenv("HONEYANT_POSIX_ONLY")}
	if os.Getenv("HONEYANT_POSIX_MOUNT") != "" {
		o.Differs = posix.OnHoneyant()
	}
	posix.Run(t, dir, o)
}

func parent(p string) string { return p[:max(1, lastSlash(p))] }

func lastSlash(p string) int {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return i
		}
	}
	return 0
}

// otherDir is a directory of a file system that is certainly another one.
func otherDir() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return ""
}
