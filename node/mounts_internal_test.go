package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The list of mounts that come back keeps those that are not back yet: a daemon that ends, or is killed, while the colony
// can not be reached has mounted some of them only.
func TestMountsNotYetBackAreRemembered(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, mountsFile)
	if err := os.WriteFile(file, []byte(`[{"volume":"main","path":"/a"},{"volume":"main","path":"/b","fuse_transport":"uring"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &mounts{n: &Node{path: dir, log: slog.New(slog.DiscardHandler)}, opening: make(turn, 1),
		list: map[string]*mounted{"/c": {volume: "main", asked: "dev"}, "/d": {volume: "main", once: true}}}
	want := func(what string, paths ...string) {
		t.Helper()
		if err := m.remember(); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(raw), "path") != len(paths) {
			t.Errorf("%s: %s", what, raw)
		}
		for _, p := range paths {
			if !strings.Contains(string(raw), `"`+p+`"`) {
				t.Errorf("%s: no %s in %s", what, p, raw)
			}
		}
	}
	want("one new mount", "/a", "/b", "/c")
	if err := m.remove(t.Context(), "/a"); err != nil || m.stillWanted("/a") || !m.stillWanted("/b") {
		t.Errorf("a mount that is not back yet is taken away: %v", err)
	}
	want("one taken away", "/b", "/c")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{"uring", "dev"} { // that of /b, which is not back yet, and of /c
		if !strings.Contains(string(raw), `"`+transport+`"`) {
			t.Errorf("the transport %s is not remembered: %s", transport, raw)
		}
	}
}
