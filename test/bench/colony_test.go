package bench_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/bench"
)

// colony is the directory of a colony of three that test/on-colony.sh runs, "" otherwise.
func colony(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("COLONY")
	if dir == "" {
		t.Skip("make bench-colony")
	}
	return dir
}

// honeyant runs the program on a node and returns what it printed, what it said, and its exit code.
func honeyant(t *testing.T, node string, args ...string) (out, said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../../bin/honeyant", append(args, "--dir", filepath.Join(colony(t), node))...)
	var a, b strings.Builder
	cmd.Stdout, cmd.Stderr = &a, &b
	cmd.Run()
	return a.String(), b.String(), cmd.ProcessState.ExitCode()
}

// Every ordered pair is measured by net and by ssh, and what was measured is in every node's history.
func TestColonyMeasuresEveryPair(t *testing.T) {
	colony(t)
	out, said, code := honeyant(t, "n1", "bench", "--all-pairs", "--json")
	var runs []*bench.Run
	if err := json.Unmarshal([]byte(out), &runs); err != nil || code != 0 || len(runs) != 3 {
		t.Fatalf("exit code %d, %d runs, %v: %s", code, len(runs), err, said)
	}
	pairs := map[string]map[string]bool{}
	for _, run := range runs {
		for _, r := range run.Results {
			way := r.Peer.From + " " + r.Peer.To
			if pairs[way] == nil {
				pairs[way] = map[string]bool{}
			}
			pairs[way][r.Name] = r.Median >= 0 && len(r.Samples) >= 5
		}
		for _, k := range run.Skipped {
			t.Errorf("left out: %s %+v: %s", k.Name, k.Peer, k.Reason)
		}
	}
	if len(pairs) != 6 {
		t.Errorf("%d ordered pairs of 6", len(pairs))
	}
	for way, names := range pairs {
		for _, name := range []string{"net.tcp.1", "net.tcp.8", "net.tls.1", "net.rtt", "net.connect", "net.clock", "ssh.connect.system", "ssh.connect.own", "ssh.own.aes128gcm", "ssh.system.chacha20", "ssh.compressed.text"} {
			if !names[name] {
				t.Errorf("%s: %s was not measured", way, name)
			}
		}
	}
}

func ids(t *testing.T, node string) string {
	t.Helper()
	out, said, code := honeyant(t, node, "bench", "history", "--json")
	var rows []struct{ ID, Node string }
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, said)
	}
	var list []string
	for _, r := range rows {
		if r.Node == "" {
			t.Errorf("%s is of no node", r.ID)
		}
		list = append(list, r.ID)
	}
	return strings.Join(list, " ")
}

// Each node has every run, those measured on one machine alone too, and a node that has lost
// its history gets it back.
func TestHistoryIsTheColonys(t *testing.T) {
	dir := colony(t)
	before := ids(t, "n2")
	for _, args := range [][]string{{"bench", "random", "--all-nodes"}, {"bench", "random", "--only", "random.urandom"}} {
		if out, said, code := honeyant(t, "n1", args...); code != 0 || !strings.Contains(said, "kept in the colony's history on n1, n2, n3") {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, said)
		}
	}
	after := ids(t, "n2")
	if added := len(strings.Fields(after)) - len(strings.Fields(before)); added != 4 || !strings.HasPrefix(after, before) {
		t.Errorf("%d runs more, want 4: before %s, after %s", added, before, after)
	}
	if err := os.RemoveAll(filepath.Join(dir, "n3", "bench")); err != nil {
		t.Fatal(err)
	}
	if _, said, code := honeyant(t, "n2", "bench", "random", "--only", "random.chacha8"); code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
	if a, b := ids(t, "n1"), ids(t, "n3"); a != b || len(strings.Fields(a)) != len(strings.Fields(after))+1 {
		t.Errorf("n1 has %s, n3 has %s", a, b)
	}
	left, err := filepath.Glob(filepath.Join(dir, "n*", ".honeyant-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestColonyRefusesInOneLine(t *testing.T) {
	colony(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--to", "nobody"}, 2, "no such node"},
		{[]string{"burst", "--all-nodes"}, 2, "one machine at a time"},
		{[]string{"disk", "--all-pairs"}, 2, "only net and ssh"},
		{[]string{"ssh", "--all-nodes"}, 2, "ssh --all-pairs"},
		{[]string{"--to", "n2", "--all-pairs"}, 2, "--to measures from this node only"},
	} {
		out, said, code := honeyant(t, "n1", append([]string{"bench"}, c.args...)...)
		if code != c.code || !strings.Contains(said, c.says) || strings.Count(strings.TrimSpace(said), "\n") != 0 || out != "" {
			t.Errorf("%v: exit code %d, printed %q, said %q", c.args, code, out, said)
		}
	}
}
