// Package posix is a conformance suite for the file system calls of POSIX and Linux. It covers
// what pjdfstest covers (every call that takes a path or a descriptor of a file, and every errno
// that a program can provoke) and what that leaves out: readdir under change, locks between
// processes, ACLs, sparse files, copy_file_range, mmap.
//
// Run works on any directory, so that the suite is checked against the local disk before it
// judges a mount. The file system under test must live in another process: cases map files, and
// a page fault blocks the whole thread.
//
// Other users are threads of their own with setresuid(2) of the thread, other processes are
// threads with a file table of their own (unshare(CLONE_FILES)), which is what owns locks.
package posix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Options of a run. The zero value runs everything.
type Options struct {
	// OtherDir is a directory of another file system, for EXDEV; without it those checks are left out.
	OtherDir string
	// Differs names cases or steps that are known to behave otherwise here, with the reason:
	// they are run, and logged instead of failing. Keys are "call/case".
	Differs map[string]string
	// Only runs cases whose "call/case" begins with it.
	Only string
}

// Run runs the suite in a new directory below dir and removes it.
func Run(t *testing.T, dir string, o Options) {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	top, err := os.MkdirTemp(dir, "posix-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(top); err != nil {
			t.Error(err)
		}
	})
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			for _, k := range g.cases {
				runCase(t, top, o, g.name+"/"+k.name, k)
			}
		})
	}
}

// testCase is one behaviour.
type testCase struct {
	name string
	root bool // needs root: other users, devices
	run  func(c *check)
}

type group struct {
	name  string
	cases []testCase
}

func groups() []group {
	return []group{
		{"path", pathCases()}, {"open", openCases()}, {"write", writeCases()}, {"mkdir", mkdirCases()},
		{"mknod", mknodCases()}, {"link", linkCases()}, {"symlink", symlinkCases()}, {"unlink", unlinkCases()},
		{"rmdir", rmdirCases()}, {"rename", renameCases()}, {"chmod", chmodCases()}, {"chown", chownCases()},
		{"truncate", truncateCases()}, {"utimens", utimensCases()}, {"fallocate", fallocateCases()},
		{"copyrange", copyCases()}, {"seek", seekCases()}, {"statfs", statfsCases()}, {"xattr", xattrCases()},
		{"acl", aclCases()}, {"lock", lockCases()}, {"readdir", readdirCases()}, {"mmap", mmapCases()},
	}
}

func runCase(t *testing.T, top string, o Options, full string, k testCase) {
	if !strings.HasPrefix(full, o.Only) {
		return
	}
	t.Run(k.name, func(t *testing.T) {
		if k.root && os.Geteuid() != 0 {
			t.Skip("needs root")
		}
		dir := filepath.Join(top, strings.NewReplacer("/", "-", " ", "_").Replace(full))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c := &check{T: t, dir: dir, options: o, differs: o.Differs[full]}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		k.run(c)
	})
}

// check is what a case works with: a directory of its own and ways to say what should be.
type check struct {
	*testing.T
	dir     string
	options Options
	differs string // reason, if this case is known to differ here
}

func (c *check) Fatalf(format string, args ...any) {
	c.Helper()
	if c.differs != "" {
		c.T.Logf("differs (%s): %s", c.differs, fmt.Sprintf(format, args...))
		c.T.SkipNow()
	}
	c.T.Fatalf(format, args...)
}

func (c *check) Errorf(format string, args ...any) {
	c.Helper()
	if c.differs != "" {
		c.T.Logf("differs (%s): %s", c.differs, fmt.Sprintf(format, args...))
		return
	}
	c.T.Errorf(format, args...)
}

// at is a path in the case's directory.
func (c *check) at(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// ok fails the case on an error.
func (c *check) ok(err error, what ...any) {
	c.Helper()
	if err != nil {
		c.Fatalf("%s: %s", fmt.Sprint(what...), describe(err))
	}
}

// want reports an error that is not the wanted one; 0 wants success.
func (c *check) want(errno unix.Errno, err error, what ...any) {
	c.Helper()
	c.oneOf([]unix.Errno{errno}, err, what...)
}

// oneOf is want where the standard leaves a choice.
func (c *check) oneOf(errnos []unix.Errno, err error, what ...any) {
	c.Helper()
	var got unix.Errno
	if err != nil && !errors.As(err, &got) {
		c.Errorf("%s: %v, want an errno", fmt.Sprint(what...), err)
		return
	}
	for _, e := range errnos {
		if got == e {
			return
		}
	}
	names := make([]string, len(errnos))
	for i, e := range errnos {
		names[i] = describe(e)
	}
	c.Errorf("%s: %s, want %s", fmt.Sprint(what...), describe(got), strings.Join(names, " or "))
}

func describe(err error) string {
	var e unix.Errno
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	if e == 0 {
		return "success"
	}
	return unix.ErrnoName(e)
}

// equal reports values that differ.
func equal[T comparable](c *check, got, want T, what ...any) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %v, want %v", fmt.Sprint(what...), got, want)
	}
}

// skipIf leaves the case out when the file system says that it has no such thing.
func (c *check) skipIf(err error, errnos ...unix.Errno) {
	c.Helper()
	for _, e := range errnos {
		if errors.Is(err, e) {
			c.T.Skipf("not supported here: %s", describe(err))
		}
	}
}
