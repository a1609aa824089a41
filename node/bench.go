package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/pair"
	"github.com/honeyant/honeyant/internal/version"
	"github.com/honeyant/honeyant/rpc"
)

// benchRoute is where the command socket measures the colony: a BenchRequest in, lines of
// BenchLine out, for as long as the caller listens.
const benchRoute = "POST /bench"

// BenchRequest asks for measurements in the colony. One of AllPairs, AllNodes and To.
type BenchRequest struct {
	AllPairs bool      `json:"all_pairs,omitempty"` // every ordered pair of nodes
	AllNodes bool      `json:"all_nodes,omitempty"` // the groups of Work on every node
	To       []string  `json:"to,omitempty"`        // from this node to these, by ID or name
	Keep     bool      `json:"keep,omitempty"`      // in the colony's history
	Work     pair.Work `json:"work"`
}

// BenchLine is a step, a finished run, what could not be measured, or the error that ended it all.
type BenchLine struct {
	Step  *pair.Step    `json:"step,omitempty"`
	Run   *bench.Run    `json:"run,omitempty"`
	Skip  *bench.Skip   `json:"skip,omitempty"`
	Kept  *Kept         `json:"kept,omitempty"` // the last line, if BenchRequest.Keep
	Error string        `json:"error,omitempty"`
	Kind  honeyant.Kind `json:"kind,omitempty"`
}

// serveMeasuring answers other nodes on the protocol of measurements.
func (n *Node) serveMeasuring(ctx context.Context) {
	s := pair.NewServer(pair.ServerOptions{Log: n.log, Pairs: n.benchPairs, Groups: n.benchGroups, SSH: n.lendSSH, Archive: n.archive(), Listen: func() (net.Listener, error) {
		host, _, err := net.SplitHostPort(n.net.Addr())
		if err != nil {
			return nil, err
		}
		return net.Listen("tcp", net.JoinHostPort(host, "0"))
	}})
	if err := s.Serve(ctx, n.net.Listen(rpc.ProtoBench)); err != nil && ctx.Err() == nil {
		n.log.Warn("measurements by other nodes are not answered any more", "error", err)
	}
}

// lendSSH starts an sshd on this node's address for one measurement by another node.
func (n *Node) lendSSH(ctx context.Context) (bench.Login, func() error, error) {
	host, _, err := net.SplitHostPort(n.net.Addr())
	if err != nil {
		return bench.Login{}, nil, err
	}
	s, err := bench.ServeSSH(ctx, n.path, host)
	if err != nil {
		return bench.Login{}, nil, err
	}
	return s.Login(), s.Close, nil
}

// benchPairs measures the way from this node to others, one after the other.
func (n *Node) benchPairs(ctx context.Context, to []honeyant.NodeID, w pair.Work, tell func(pair.Step)) (*bench.Run, error) {
	run := bench.NewRun(ctx, n.benchOptions(w))
	m := n.agent.Map()
	for _, id := range to {
		other, ok := honeyant.Node{}, false
		if m != nil {
			other, ok = m.Node(id)
		}
		if !ok {
			return nil, honeyant.E("node.Bench", honeyant.NotExist, id.String(), errors.New("no such node here yet"))
		}
		results, skipped, err := pair.Measure(ctx, pair.Way{
			Peer:    bench.Peer{From: n.cfg.Name, FromNode: n.identity.Self().String(), To: other.Name, ToNode: id.String()},
			Address: other.Address, Dial: n.benchDial(other), Groups: w.Groups, Dir: n.path, Gentle: w.Gentle, Full: w.Profile == bench.Full,
		}, tell)
		if err != nil {
			return nil, err
		}
		run.Results, run.Skipped = append(run.Results, results...), append(run.Skipped, skipped...)
	}
	run.Close()
	return run, nil
}

func (n *Node) benchDial(to honeyant.Node) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return n.net.Dial(ctx, to.Address, to.ID, rpc.ProtoBench) }
}

func (n *Node) benchOptions(w pair.Work) bench.Options {
	groups := w.Groups
	if len(groups) == 0 {
		groups = []string{"net"}
	}
	return bench.Options{Groups: groups, Profile: w.Profile, Gentle: w.Gentle, Dir: n.path, Node: n.identity.Self().String(), Version: version.Text(), Metadata: true}
}

// childGrace is how long the measuring child may take to clean up before it is killed.
const childGrace = 15 * time.Second

// benchGroups measures this machine in a process of its own: the daemon's memory limit and
// collector must not take part, nor a mistake there end the daemon.
func (n *Node) benchGroups(ctx context.Context, w pair.Work, tell func(pair.Step)) (*bench.Run, error) {
	const op = "node.Bench"
	program, err := os.Executable()
	if err != nil {
		return nil, honeyant.E(op, honeyant.Internal, "", err)
	}
	groups := w.Groups
	for _, g := range groups {
		if !slices.Contains(bench.Groups(), g) {
			return nil, honeyant.E(op, honeyant.Invalid, g, fmt.Errorf("the groups are %s", strings.Join(bench.Groups(), ", ")))
		}
	}
	args := append([]string{"--dir", n.path, "bench", "--json", "--no-history", "--in", n.path, "--gentle=" + strconv.FormatBool(w.Gentle)}, groups...)
	if w.Profile != "" {
		args = append(args, "--profile", w.Profile)
	}
	if w.Size > 0 {
		args = append(args, "--size", strconv.FormatInt(w.Size, 10))
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it removes its files
	cmd.WaitDelay = childGrace
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	names := groups
	if len(names) == 0 {
		names = bench.DefaultGroups()
	}
	tell(pair.Step{Node: n.cfg.Name, Text: "measuring " + strings.Join(names, ", ")})
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	run, decoded := bench.Decode(&out)
	if decoded != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		kind := honeyant.Other
		if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 2 {
			kind = honeyant.Invalid
		}
		return nil, honeyant.E(op, kind, n.cfg.Name, fmt.Errorf("%s (%w)", strings.TrimPrefix(lines[len(lines)-1], "honeyant: "), errors.Join(err, decoded)))
	}
	run.Host.Node = n.identity.Self().String()
	return run, nil
}

// serveBench is benchRoute.
func (n *Node) serveBench(w http.ResponseWriter, r *http.Request) {
	var req BenchRequest
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(raw, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	var mu sync.Mutex // guards w
	tell := func(line BenchLine) {
		mu.Lock()
		defer mu.Unlock()
		if json.NewEncoder(w).Encode(line) != nil || http.NewResponseController(w).Flush() != nil {
			cancel()
		}
	}
	var kept Kept
	if err := n.benchColony(ctx, req, func(line BenchLine) {
		if line.Run != nil && req.Keep { // at once: the caller may go away
			kept.add(n.archive().keep(context.WithoutCancel(ctx), line.Run))
		}
		tell(line)
	}); err != nil {
		tell(BenchLine{Error: err.Error(), Kind: honeyant.KindOf(err)})
	}
	if req.Keep {
		n.spreadHistory(ctx, &kept)
		tell(BenchLine{Kept: &kept})
	}
}

// benchColony lets one node after the other measure. Nodes that can not are told as Skip.
func (n *Node) benchColony(ctx context.Context, req BenchRequest, tell func(BenchLine)) error {
	m := n.agent.Map()
	if m == nil {
		return honeyant.E("node.Bench", honeyant.Unavailable, "", errors.New("this node does not know the colony yet; try again"))
	}
	var members []honeyant.Node
	for _, one := range m.Nodes {
		if one.State != honeyant.NodeRemoved {
			members = append(members, one)
		}
	}
	targets := members
	from := members
	if len(req.To) > 0 {
		targets = nil
		for _, text := range req.To {
			one, err := findMember(members, text)
			if err != nil {
				return err
			}
			targets = append(targets, one)
		}
		from = slices.DeleteFunc(slices.Clone(members), func(one honeyant.Node) bool { return one.ID != n.identity.Self() })
	}
	step := func(s pair.Step) { tell(BenchLine{Step: &s}) }
	for _, one := range from {
		var to []honeyant.NodeID
		for _, other := range targets {
			peer := &bench.Peer{From: one.Name, FromNode: one.ID.String(), To: other.Name, ToNode: other.ID.String()}
			switch {
			case req.AllNodes || other.ID == one.ID:
			case other.State != honeyant.NodeUp || one.State != honeyant.NodeUp:
				tell(BenchLine{Skip: &bench.Skip{Name: "net", Peer: peer, Reason: "one of them is down"}})
			default:
				to = append(to, other.ID)
			}
		}
		if req.AllNodes && one.State != honeyant.NodeUp {
			tell(BenchLine{Skip: &bench.Skip{Name: one.Name, Reason: "it is down"}})
			continue
		}
		if !req.AllNodes && len(to) == 0 {
			continue
		}
		run, err := n.benchOn(ctx, one, to, req, step)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			tell(BenchLine{Skip: &bench.Skip{Name: one.Name, Reason: err.Error()}})
			continue
		}
		tell(BenchLine{Run: run})
	}
	return nil
}

// benchOn lets one node measure itself, or the way to others.
func (n *Node) benchOn(ctx context.Context, one honeyant.Node, to []honeyant.NodeID, req BenchRequest, tell func(pair.Step)) (*bench.Run, error) {
	at := pair.Node{ID: one.ID, Name: one.Name, Dial: n.benchDial(one)}
	if req.AllNodes {
		return pair.Groups(ctx, at, req.Work, tell)
	}
	return pair.Pairs(ctx, at, to, req.Work, tell)
}

// findMember finds a node by ID or name.
func findMember(members []honeyant.Node, text string) (honeyant.Node, error) {
	var found []honeyant.Node
	for _, one := range members {
		if one.ID.String() == text || one.Name == text {
			found = append(found, one)
		}
	}
	switch len(found) {
	case 0:
		return honeyant.Node{}, honeyant.E("node.Bench", honeyant.NotExist, text, errors.New("no such node; `honeyant node ls` lists them"))
	case 1:
		return found[0], nil
	}
	return honeyant.Node{}, honeyant.E("node.Bench", honeyant.Conflict, text, errors.New("several nodes have that name: say the ID"))
}
