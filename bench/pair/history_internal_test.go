package pair

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// shelf is an Archive in memory.
type shelf struct {
	runs  []*bench.Run
	fetch func(honeyant.NodeID) (int, error)
}

func (s *shelf) IDs() (ids []string, err error) {
	for _, r := range s.runs {
		ids = append(ids, r.ID)
	}
	return ids, nil
}

func (s *shelf) Find(id string) (*bench.Run, error) {
	for _, r := range s.runs {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, honeyant.E("test", honeyant.NotExist, id, nil)
}

func (s *shelf) Fetch(_ context.Context, from honeyant.NodeID) (int, error) { return s.fetch(from) }

func run(id string) *bench.Run {
	return &bench.Run{Schema: bench.Schema, ID: id, Results: []bench.Result{}}
}

func TestFetchTakesWhatIsLacking(t *testing.T) {
	other := &shelf{runs: []*bench.Run{run("a"), run("b"), run("c")}, fetch: func(from honeyant.NodeID) (int, error) {
		if from != 7 {
			return 0, errors.New("who asks?")
		}
		return 2, nil
	}}
	node := Node{ID: 7, Name: "b", Dial: dialer(serve(t, ServerOptions{Archive: other}))}
	var told, got []string
	fetch := func(lacking ...string) error {
		told, got = nil, nil
		return Fetch(t.Context(), node, func(ids []string) ([]string, error) { told = ids; return lacking, nil },
			func(r *bench.Run) error { got = append(got, r.ID); return nil })
	}
	if err := fetch("c", "a"); err != nil || !slices.Equal(told, []string{"a", "b", "c"}) || !slices.Equal(got, []string{"c", "a"}) {
		t.Errorf("told %v, got %v, %v", told, got, err)
	}
	if err := fetch(); err != nil || got != nil {
		t.Errorf("nothing is lacking: got %v, %v", got, err)
	}
	if err := fetch("z"); !errors.Is(err, honeyant.NotExist) {
		t.Errorf("a run that is not there: %v", err)
	}
	if n, err := Nudge(t.Context(), node); n != 2 || err != nil {
		t.Errorf("%d fetched, %v", n, err)
	}
	other.runs = []*bench.Run{{Schema: "honeyant-bench/9", ID: "a"}}
	if err := fetch("a"); !errors.Is(err, honeyant.Unsupported) || got != nil {
		t.Errorf("a run of a newer schema: got %v, %v", got, err)
	}
}

func TestNodesWithoutAHistory(t *testing.T) {
	node := Node{Name: "old", Dial: dialer(serve(t, ServerOptions{}))}
	if _, err := Nudge(t.Context(), node); !errors.Is(err, honeyant.Unsupported) {
		t.Errorf("a node that keeps none: %v", err)
	}
	gone := Node{Name: "gone", Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no route") }}
	if err := Fetch(t.Context(), gone, nil, nil); !errors.Is(err, honeyant.Unavailable) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a node that is away: %v", err)
	}
}

// A node without sshd gets one line, and so does one that starts none.
func TestWayWithoutSSH(t *testing.T) {
	for _, c := range []struct {
		name string
		lend func(context.Context) (bench.Login, func() error, error)
		says string
	}{
		{"no sshd", func(context.Context) (bench.Login, func() error, error) {
			return bench.Login{}, nil, honeyant.E("bench.ServeSSH", honeyant.NotExist, "", errors.New("no sshd is installed (apt-get install openssh-server)"))
		}, "b has no sshd: none answers on its port 22, and no sshd is installed (apt-get install openssh-server)"},
		{"an old node", nil, "starts no sshd"},
	} {
		addr := serve(t, ServerOptions{SSH: c.lend})
		_, port, _ := net.SplitHostPort(addr)
		m := way(addr)
		m.Address = net.JoinHostPort("127.0.0.77", port) // no sshd answers on port 22 of that
		m.Groups, m.Dir = []string{"ssh"}, t.TempDir()
		results, skipped, err := m.run(t.Context())
		if err != nil || len(results) != 0 || len(skipped) != 1 || skipped[0].Name != "ssh" || skipped[0].Peer == nil ||
			!strings.Contains(skipped[0].Reason, c.says) || strings.Contains(skipped[0].Reason, "\n") {
			t.Errorf("%s: %d results, left out %+v, %v", c.name, len(results), skipped, err)
		}
	}
}

// An sshd that was lent ends with the connection that asked for it.
func TestLentSSHEndsWithItsConnection(t *testing.T) {
	stopped := make(chan struct{})
	addr := serve(t, ServerOptions{SSH: func(context.Context) (bench.Login, func() error, error) {
		return bench.Login{Port: 1, User: "x"}, func() error { close(stopped); return nil }, nil
	}})
	conn, err := dialer(addr)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ask(conn, request{Op: opSSH})
	if err != nil || a.Login == nil || a.Login.Port != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	conn.Close()
	<-stopped
}
