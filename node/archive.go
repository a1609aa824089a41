package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/bench/pair"
)

// archive is a node's copy of the colony's history of measurements: bench/ in its directory
// (doc/format/history.md). Every node has one and fetches from the others what it lacks, so
// that the history outlives any machine. Runs are only ever added. Safe for concurrent use
// by any number of processes.
type archive struct {
	dir  string
	node func(honeyant.NodeID) (pair.Node, error)
}

var _ pair.Archive = (*archive)(nil)

func (n *Node) archive() *archive {
	return &archive{dir: filepath.Join(n.path, "bench"), node: func(id honeyant.NodeID) (pair.Node, error) {
		if m := n.agent.Map(); m != nil {
			if one, ok := m.Node(id); ok {
				return pair.Node{ID: one.ID, Name: one.Name, Dial: n.benchDial(one)}, nil
			}
		}
		return pair.Node{}, honeyant.E("node.History", honeyant.NotExist, id.String(), errors.New("no such node here yet"))
	}}
}

// IDs lists the runs.
func (a *archive) IDs() ([]string, error) { return history.IDs(a.dir) }

// Find returns a run.
func (a *archive) Find(id string) (*bench.Run, error) { return history.Find(a.dir, id) }

// keepWait bounds the wait for another process that appends.
const keepWait = 20 * time.Second

// keep adds a run unless it is there.
func (a *archive) keep(ctx context.Context, run *bench.Run) error {
	ctx, cancel := context.WithTimeout(ctx, keepWait)
	defer cancel()
	_, err := history.Add(ctx, a.dir, run)
	return err
}

// Fetch takes over what another node has.
func (a *archive) Fetch(ctx context.Context, from honeyant.NodeID) (int, error) {
	other, err := a.node(from)
	if err != nil {
		return 0, err
	}
	fetched := 0
	err = pair.Fetch(ctx, other, func(ids []string) ([]string, error) { return history.Missing(a.dir, ids) }, func(run *bench.Run) error {
		fetched++
		return a.keep(ctx, run)
	})
	return fetched, err
}

// Kept tells where runs have been kept.
type Kept struct {
	Nodes  []string `json:"nodes"`            // names of those that have them all now
	Missed []string `json:"missed,omitempty"` // those that will fetch them when they can, with the reason
	Error  string   `json:"error,omitempty"`  // not even this node could keep one
}

func (k *Kept) add(err error) {
	if err != nil && k.Error == "" {
		k.Error = err.Error()
	}
}

// spreadWait bounds how long one node may take to fetch.
const spreadWait = 30 * time.Second

// spreadHistory asks the other nodes to fetch what is new here.
func (n *Node) spreadHistory(ctx context.Context, kept *Kept) {
	if kept.Error == "" {
		kept.Nodes = []string{n.cfg.Name}
	}
	for _, other := range n.otherNodes() {
		if other.State != honeyant.NodeUp {
			kept.Missed = append(kept.Missed, other.Name+": it is down")
			continue
		}
		one, cancel := context.WithTimeout(ctx, spreadWait)
		_, err := pair.Nudge(one, pair.Node{ID: other.ID, Name: other.Name, Dial: n.benchDial(other)})
		cancel()
		if err != nil {
			kept.Missed = append(kept.Missed, fmt.Sprintf("%s: %s", other.Name, err))
			continue
		}
		kept.Nodes = append(kept.Nodes, other.Name)
	}
}

// otherNodes are the members of the colony without this one and those removed.
func (n *Node) otherNodes() []honeyant.Node {
	m := n.agent.Map()
	if m == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.Nodes), func(one honeyant.Node) bool {
		return one.ID == n.identity.Self() || one.State == honeyant.NodeRemoved
	})
}

// The times at which a node looks for what it missed while it was down.
const (
	firstFetch = time.Minute
	fetchEvery = time.Hour
)

// fetchHistory fetches what others have and this node lacks, now and then.
func (n *Node) fetchHistory(ctx context.Context) {
	for wait := firstFetch; ; wait = fetchEvery {
		if bench.Pause(ctx, wait) != nil {
			return
		}
		for _, other := range n.otherNodes() {
			if other.State != honeyant.NodeUp {
				continue
			}
			one, cancel := context.WithTimeout(ctx, spreadWait)
			fetched, err := n.archive().Fetch(one, other.ID)
			cancel()
			if err != nil {
				n.log.Debug("the history of measurements could not be fetched", "from", other.Name, "err", err)
			} else if fetched > 0 {
				n.log.Info("measurements fetched that this node had missed", "from", other.Name, "runs", fetched)
			}
		}
	}
}

// keepRoute is where the command socket takes a run that was measured on this machine.
const keepRoute = "POST /bench/keep"

// maxRun bounds a run that the command socket takes.
const maxRun = 16 << 20

// serveKeep is keepRoute: a bench.Run in, a Kept out.
func (n *Node) serveKeep(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRun))
	var run *bench.Run
	if err == nil {
		run, err = bench.Decode(bytes.NewReader(raw))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if run.Host.Node == "" {
		run.Host.Node = n.identity.Self().String()
	}
	var kept Kept
	kept.add(n.archive().keep(r.Context(), run))
	n.spreadHistory(r.Context(), &kept)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(BenchLine{Kept: &kept})
}

// benchRoutes are those of the command socket that have to do with measuring.
func (n *Node) benchRoutes() []admin.Route {
	return []admin.Route{{Pattern: benchRoute, Serve: n.serveBench}, {Pattern: keepRoute, Serve: n.serveKeep}}
}
