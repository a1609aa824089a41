package consensus_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/consensus"
)

// view reads "v1 v2! l3- | 1 2down 3out 4removed": voters and learners, ! unhealthy, - not
// caught up; then the nodes. Node 1 leads.
func view(s string) consensus.View {
	v := consensus.View{Self: 1}
	members, nodes, _ := strings.Cut(s, "|")
	for _, w := range strings.Fields(members) {
		m := consensus.Member{Role: honeyant.RoleVoter, Healthy: !strings.Contains(w, "!")}
		if w[0] == 'l' {
			m.Role = honeyant.RoleLearner
		}
		m.CaughtUp = m.Healthy && !strings.Contains(w, "-")
		fmt.Sscanf(w[1:], "%d", &m.Node)
		v.Members = append(v.Members, m)
	}
	for _, w := range strings.Fields(nodes) {
		n := honeyant.Node{State: honeyant.NodeUp}
		fmt.Sscanf(w, "%d", &n.ID)
		for state := honeyant.NodeUp; state <= honeyant.NodeRemoved; state++ {
			if strings.HasSuffix(w, state.String()) {
				n.State = state
			}
		}
		v.Nodes = append(v.Nodes, n)
	}
	return v
}

func TestNextStep(t *testing.T) {
	cases := []struct{ name, view, want string }{
		{"one node", "v1 | 1", "none"},
		{"second node joins", "v1 | 1 2", "add learner 2"},
		{"two nodes", "v1 l2 | 1 2", "none"},
		{"two nodes, second down", "v1 l2! | 1 2down", "none"},
		{"two nodes, second out", "v1 l2! | 1 2out", "remove 2"},
		{"third node joins", "v1 l2 | 1 2 3", "add learner 3"},
		{"third not caught up", "v1 l2 l3- | 1 2 3", "none"},
		{"both caught up", "v1 l2 l3 | 1 2 3", "promote 2"},
		{"second of the pair", "v1 v2 l3 | 1 2 3", "promote 3"},
		{"second of the pair is slow", "v1 v2 l3- | 1 2 3", "none"},
		{"three nodes", "v1 v2 v3 | 1 2 3", "none"},
		{"a fourth is not needed", "v1 v2 v3 | 1 2 3 4", "none"},
		{"a voter is down", "v1 v2 v3! | 1 2 3down 4", "none"},
		{"a voter is out, a spare is there", "v1 v2 v3! | 1 2 3out 4 5", "add learner 4"},
		{"the spare catches up", "v1 v2 v3! l4- | 1 2 3out 4 5", "none"},
		{"the spare has caught up", "v1 v2 v3! l4 | 1 2 3out 4 5", "promote 4"},
		{"the spare is in", "v1 v2 v3! v4 | 1 2 3out 4 5", "remove 3"},
		{"but another is unhealthy", "v1 v2! v3! l4 | 1 2 3out 4 5", "none"},
		{"removed node is replaced first", "v1 v2 v3 | 1 2 3removed 4", "add learner 4"},
		{"three nodes become two", "v1 v2 v3! | 1 2 3out", "remove 3"},
		{"two voters of two nodes", "v1 v2 | 1 2", "demote 2"},
		{"one of them unhealthy", "v1 v2! | 1 2down", "demote 2"},
		{"the leader itself leaves", "v1 v2 v3 | 1removed 2 3 4", "transfer 1"},
		{"surplus learner", "v1 v2 v3 l4 | 1 2 3 4", "remove 4"},
		{"forgotten member", "v1 l9 | 1 2", "remove 9"},
		{"no spare up", "v1 v2 v3! | 1 2 3out 4down", "none"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := consensus.NextStep(view(c.view))
			got := s.Kind.String()
			if s.Kind != consensus.StepNone {
				got += fmt.Sprintf(" %d", s.Node)
			}
			if got != c.want {
				t.Errorf("got %s (%s), want %s", got, s.Why, c.want)
			}
		})
	}
	v := view("v1 v2 l3- | 1 2 3")
	v.SinceChange = 11 * time.Second
	if s := consensus.NextStep(v); s.Kind != consensus.StepDemote || s.Node != 2 {
		t.Errorf("two voters for too long: %+v", s)
	}
	for s, want := range map[string]honeyant.NodeID{"v1 l2 | 1 2": 2, "v1 l2 l3 | 1 2 3": 2, "v1 v2 | 1 2": 0, "v1 | 1": 0} {
		if got := consensus.Mirror(view(s), 0); got != want {
			t.Errorf("mirror of %s: %v", s, got)
		}
	}
	if got := consensus.Mirror(view("v1 l2 l3 | 1 2 3"), 3); got != 3 {
		t.Errorf("the mirror changed to %v", got)
	}
}

// Rule 31 as a property: nodes come, go down, out and back at random; no step ever leaves
// the voters without a healthy majority that had one before, and when the nodes are quiet
// the wanted shape is reached and kept.
func TestNextStepConverges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		v := consensus.View{Self: 1, Nodes: []honeyant.Node{{ID: 1, State: honeyant.NodeUp}}}
		v.Members = []consensus.Member{{Node: 1, Role: honeyant.RoleVoter, Healthy: true, CaughtUp: true}}
		for range 40 {
			churn(rng, &v)
			settle(t, rng, &v, rng.IntN(4))
		}
		for i := range v.Nodes {
			if v.Nodes[i].State == honeyant.NodeDown {
				v.Nodes[i].State = honeyant.NodeUp
			}
		}
		refresh(&v, func() bool { return true })
		settle(t, rng, &v, 60)
		if s := consensus.NextStep(v); s.Kind != consensus.StepNone {
			t.Fatalf("no rest: %+v in %+v", s, v)
		}
		live, voters, members := 0, 0, len(v.Members)
		for _, n := range v.Nodes {
			if n.State == honeyant.NodeUp {
				live++
			}
		}
		for _, m := range v.Members {
			if m.Role == honeyant.RoleVoter {
				voters++
			}
		}
		wantVoters, wantMembers := 3, 3
		if live <= 2 {
			wantVoters, wantMembers = 1, live
		}
		if voters != wantVoters || members != wantMembers {
			t.Fatalf("%d live nodes: %d voters of %d members in %+v", live, voters, members, v)
		}
	}
}

func churn(rng *rand.Rand, v *consensus.View) {
	switch i := rng.IntN(len(v.Nodes) + 1); {
	case i == len(v.Nodes):
		if i < 7 {
			v.Nodes = append(v.Nodes, honeyant.Node{ID: honeyant.NodeID(i + 1), State: honeyant.NodeUp})
		}
	case v.Nodes[i].ID == v.Self:
	case v.Nodes[i].State == honeyant.NodeUp:
		v.Nodes[i].State = honeyant.NodeDown
		refresh(v, func() bool { return true })
		if h, n := health(v); h <= n/2 { // the leader would have stepped down
			v.Nodes[i].State = honeyant.NodeUp
		}
	case v.Nodes[i].State == honeyant.NodeDown:
		v.Nodes[i].State = []honeyant.NodeState{honeyant.NodeUp, honeyant.NodeOut}[rng.IntN(2)]
	case v.Nodes[i].State == honeyant.NodeOut:
		v.Nodes[i].State = honeyant.NodeUp
	}
	refresh(v, func() bool { return rng.IntN(2) == 0 })
}

// refresh sets what the members report from the state of the nodes.
func refresh(v *consensus.View, caughtUp func() bool) {
	for i := range v.Members {
		m := &v.Members[i]
		m.Healthy = false
		for _, n := range v.Nodes {
			if n.ID == m.Node {
				m.Healthy = n.State == honeyant.NodeUp
			}
		}
		m.CaughtUp = m.Healthy && caughtUp()
	}
}

func health(v *consensus.View) (healthy, voters int) {
	for _, m := range v.Members {
		if m.Role == honeyant.RoleVoter {
			voters++
			if m.Healthy {
				healthy++
			}
		}
	}
	return healthy, voters
}

func settle(t *testing.T, rng *rand.Rand, v *consensus.View, steps int) {
	t.Helper()
	for range steps {
		before := fmt.Sprintf("%+v", *v)
		s := consensus.NextStep(*v)
		if s.Kind == consensus.StepNone {
			return
		}
		var kept []consensus.Member
		for _, m := range v.Members {
			if m.Node == s.Node {
				switch s.Kind {
				case consensus.StepRemove:
					continue
				case consensus.StepPromote:
					m.Role = honeyant.RoleVoter
				case consensus.StepDemote:
					m.Role = honeyant.RoleLearner
				}
			}
			kept = append(kept, m)
		}
		if s.Kind == consensus.StepAddLearner {
			kept = append(kept, consensus.Member{Node: s.Node, Role: honeyant.RoleLearner})
		}
		v.Members = kept
		refresh(v, func() bool { return steps > 10 || rng.IntN(2) == 0 })
		if h, n := health(v); h <= n/2 {
			t.Fatalf("%+v leaves %d healthy of %d voters\nbefore %s", s, h, n, before)
		}
	}
}
