package transfer_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/transfer"
)

// A tree is never copied onto or into itself, by whatever route, and nothing is changed.
func TestRefusesToCopyOntoItself(t *testing.T) {
	ssh := sshOptions(t)
	d := t.TempDir()
	write(t, d+"/tree/sub/f", []byte("content"))
	write(t, d+"/tree/g", []byte("g"))
	write(t, d+"/tree/tree/h", []byte("h"))
	must(t, os.Symlink(d+"/tree", d+"/way"))
	must(t, os.Symlink("tree/sub", d+"/way in"))
	must(t, os.Link(d+"/tree/g", d+"/other name"))
	cases := []struct{ name, from, to string }{
		{"the same", "/tree", "/tree"},
		{"into a new directory", "/tree", "/tree/new"},
		{"into a directory below", "/tree", "/tree/sub"},
		{"by a link", "/tree", "/way"},
		{"by a link below", "/tree", "/way in"},
		{"new, by a link below", "/tree", "/way in/new"},
		{"by dots", "/tree", "/tree/sub/../../tree"},
		{"over its own directory", "/tree/tree", "/tree"},
		{"a file onto itself", "/tree/g", "/tree/g"},
		{"a file onto its other name", "/tree/g", "/other name"},
		{"a file onto itself by a link", "/tree/g", "/way/g"},
	}
	if os.Geteuid() == 0 {
		if mounted(t, d+"/tree", d+"/bind") && mounted(t, d+"/tree/sub", d+"/bind sub") && mounted(t, d+"/elsewhere", d+"/tree/mnt") {
			cases = append(cases, []struct{ name, from, to string }{
				{"by a bind mount", "/tree", "/bind"},
				{"by a bind mount of a directory below", "/tree", "/bind sub"},
				{"new, by a bind mount of a directory below", "/tree", "/bind sub/new"},
				{"from a bind mount", "/bind", "/tree/sub"},
				{"into what is mounted below", "/tree", "/elsewhere/new"},
			}...)
		}
	}
	write(t, d+"/tree/tree/tree/i", []byte("i")) // it would be written over its own directory
	before := picture(t, d)
	for _, c := range cases {
		for _, way := range []string{"", "peer:", "plain:"} {
			if way != "" && strings.HasPrefix(c.name, "over") {
				continue // what one machine alone can see
			}
			t.Run(way+c.name, func(t *testing.T) {
				o := transfer.Options{Sources: []string{d + c.from}, Target: way + d + c.to, Recursive: true, Exact: true, SSH: ssh}
				if way != "" && strings.Contains(c.name, "other name") {
					return // a copy by rename leaves the other name alone
				}
				_, err := run(t, o)
				if !errors.Is(err, honeyant.Invalid) {
					t.Errorf("got %v, want a refusal", err)
				}
				if after := picture(t, d); after != before {
					t.Errorf("it was changed:\n%s\n%s", before, after)
				}
			})
		}
	}
}

func mounted(t *testing.T, what, at string) bool {
	t.Helper()
	must(t, os.MkdirAll(what, 0o755))
	must(t, os.MkdirAll(at, 0o755))
	if err := unix.Mount(what, at, "", unix.MS_BIND, ""); err != nil {
		t.Logf("no bind mounts here: %v", err)
		return false
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	return true
}

// picture is a tree's names and contents.
func picture(t *testing.T, root string) string {
	t.Helper()
	names, err := transfer.Names(root + "/tree")
	must(t, err)
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(names)) {
		content, _ := os.ReadFile(root + "/tree/" + path)
		fmt.Fprintln(&b, path, string(content))
	}
	return b.String()
}

// What is refused is only what must be.
func TestNeighboursAreNoSelf(t *testing.T) {
	d := t.TempDir()
	write(t, d+"/tree/f", []byte("f"))
	for _, to := range []string{"/tree2", "/other/tree", "/other"} {
		must(t, os.MkdirAll(d+"/other", 0o755))
		_, err := run(t, transfer.Options{Sources: []string{d + "/tree"}, Target: d + to, Recursive: true})
		if err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
}
