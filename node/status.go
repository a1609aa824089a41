package node

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/maintenance"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/placement"
)

// leaderDeadline bounds how long status waits for the leader's part of the answer.
const leaderDeadline = 3 * time.Second

// status is the leader's view of the colony with this node's own facts. Without a leader it
// tells what this node knows.
func (n *Node) status(ctx context.Context, _ admin.None) (admin.Status, error) {
	var s admin.Status
	ask, cancel := context.WithTimeout(ctx, leaderDeadline)
	defer cancel()
	err := n.askLeader(ask, "colony.status", nil, &s)
	if err != nil {
		s = n.aloneStatus(err)
	}
	s.Self = n.identity.Self().String()
	s.Mounts = n.mounts.status()
	s.Memory = n.memoryStatus()
	s.UptimeSec = time.Since(n.began).Seconds()
	return s, nil
}

// aloneStatus is what a node can say when no leader answers.
func (n *Node) aloneStatus(cause error) admin.Status {
	s := admin.Status{Health: "critical", Cluster: n.identity.Cluster(), Nodes: []admin.NodeStatus{},
		Summary: []string{
			"No metadata leader answers, so names can be neither read nor changed; nothing that was acknowledged is lost.",
			"A majority of the voters must be up and reach one another. (" + cause.Error() + ")",
		}}
	if m := n.agent.Map(); m != nil {
		for _, one := range m.Nodes {
			if one.State != honeyant.NodeRemoved {
				st := n.nodeStatus(m, one)
				st.State = "unknown"
				s.Nodes = append(s.Nodes, st)
			}
		}
	}
	return s
}

// colonyStatus is the leader's part.
func (n *Node) colonyStatus(ctx context.Context, _ admin.None) (admin.Status, error) {
	m := n.tracker.Map()
	if m == nil {
		return admin.Status{}, honeyant.E("node.Status", honeyant.Unavailable, "", fmt.Errorf("the leader has just changed; try again"))
	}
	counts, err := meta.Do(ctx, n.leader.Direct(), &meta.Counts{Volume: honeyant.MainVolume})
	if err != nil {
		return admin.Status{}, err
	}
	var jobs maintenance.State
	if service, ok := n.leadership.jobs(); ok {
		jobs = service.State()
	}
	s := admin.Status{Cluster: m.Cluster, Leader: m.Leader.String(), Nodes: []admin.NodeStatus{}}
	members := 0
	for _, one := range m.Nodes {
		if one.State == honeyant.NodeRemoved {
			continue
		}
		members++
		s.Nodes = append(s.Nodes, n.nodeStatus(m, one))
	}
	s.Chunks = admin.ChunkStatus{Total: counts.Chunks, UnderReplicated: max(jobs.Short, counts.Short), Lost: jobs.Lost, Dead: counts.Dead,
		Sparse: jobs.Packs.Sparse, Unused: int64(jobs.Packs.SparseBytes), Rewritten: jobs.Packs.Rewritten, Freed: int64(jobs.Packs.Freed), Stuck: jobs.Packs.Stuck}
	s.Heal = admin.HealStatus{Pending: max(jobs.Pending, counts.Short), ETASeconds: jobs.ETA.Seconds(), Stuck: jobs.Stuck}
	copies, _ := honeyant.Policy{}.Effective(members)
	s.Bytes.Capacity, s.Bytes.Available = placement.Usable(m, copies)
	for _, st := range m.Stores {
		if st.State != honeyant.StoreRemoved {
			s.Bytes.Used += st.Used
		}
	}
	s.Bytes.Used /= int64(copies)
	n.judgeHealth(&s, m, copies)
	return s, nil
}

// judgeHealth says in plain words how it is, the most urgent first.
func (n *Node) judgeHealth(s *admin.Status, m *honeyant.Map, copies int) {
	s.Health = "ok"
	worse := func(to string) {
		if s.Health == "ok" || to == "critical" {
			s.Health = to
		}
	}
	say := func(format string, args ...any) { s.Summary = append(s.Summary, fmt.Sprintf(format, args...)) }
	if s.Chunks.Lost > 0 {
		worse("critical")
		say("%d chunks can not be read now: all their copies are on machines that are not up.", s.Chunks.Lost)
	}
	voters, votersUp, away := 0, 0, 0
	for _, one := range m.Nodes {
		if one.Role == honeyant.RoleVoter && one.State != honeyant.NodeRemoved {
			voters++
			if one.State == honeyant.NodeUp {
				votersUp++
			}
		}
		if one.State == honeyant.NodeDown || one.State == honeyant.NodeOut {
			away++
			worse("degraded")
			say("%s (%s) is %s.%s", one.ID, one.Name, one.State, n.whatOfAway(one))
		}
	}
	if s.Chunks.UnderReplicated > 0 {
		worse("degraded")
		eta := ""
		if s.Heal.Pending > 0 && s.Heal.ETASeconds > 0 {
			eta = fmt.Sprintf("; healing, about %s left", (time.Duration(s.Heal.ETASeconds) * time.Second).Round(time.Second))
		} else if s.Heal.Pending > 0 && s.Heal.Stuck == "" {
			eta = fmt.Sprintf("; %d copies are being made", s.Heal.Pending)
		}
		say("%d chunks have fewer copies than they should%s.", s.Chunks.UnderReplicated, eta)
	}
	if s.Heal.Stuck != "" && s.Heal.Pending > 0 {
		worse("degraded")
		say("%d copies can not be made now: %s.", s.Heal.Pending, s.Heal.Stuck)
	}
	for _, st := range m.Stores {
		switch st.State {
		case honeyant.StoreFailing:
			worse("degraded")
			say("Store %s on %s has a failing disk; what it holds is copied elsewhere.", st.ID, st.Node)
		case honeyant.StoreDraining:
			say("Store %s on %s is being drained.", st.ID, st.Node)
		}
	}
	if s.Bytes.Capacity > 0 && s.Bytes.Available < s.Bytes.Capacity/20 {
		worse("degraded")
		say("The colony is nearly full; delete files or add a machine.")
	}
	n.judgeBackups(s, worse, say)
	s.CanLose = max(0, min(copies-1-away, votersUp-(voters/2+1)))
	if text, degraded := n.mirrorText(len(s.Nodes)); text != "" {
		if degraded {
			worse("degraded")
		}
		say("%s", text)
	}
	if s.Health == "ok" {
		say("Every chunk has its copies. The colony may lose %d more machine(s) at once and serve on.", s.CanLose)
	}
}

// whatOfAway says what happens with what a silent node holds.
func (n *Node) whatOfAway(one honeyant.Node) string {
	if one.State == honeyant.NodeOut {
		return " What it held is re-created on others."
	}
	for _, r := range n.tracker.Reports() {
		if r.Node == one.ID {
			if left := n.cfg.OutAfter - r.Silent; left > 0 {
				return fmt.Sprintf(" If it is not back in %s, what it holds is re-created on others.", left.Round(time.Second))
			}
		}
	}
	return ""
}

// nodeStatus is one node of a map; with the last heartbeat's facts on the leader.
func (n *Node) nodeStatus(m *honeyant.Map, one honeyant.Node) admin.NodeStatus {
	s := admin.NodeStatus{ID: one.ID.String(), Name: one.Name, Address: one.Address, Zone: one.Zone, State: one.State.String(),
		Voter: one.Role == honeyant.RoleVoter, Role: one.Role.String(), Leader: m.Leader == one.ID}
	for _, st := range m.Stores {
		if st.Node == one.ID && st.State != honeyant.StoreRemoved {
			s.CapacityBytes += st.Capacity
			s.UsedBytes += st.Used
			s.AvailableBytes += st.Available
		}
	}
	reports := n.tracker.Reports()
	if i := slices.IndexFunc(reports, func(r clusterReport) bool { return r.Node == one.ID }); i >= 0 {
		s.SilentSeconds, s.Version, s.LastHeartbeatOK = reports[i].Silent.Seconds(), reports[i].Report.Version, reports[i].Heard
	}
	return s
}

// memoryStatus says who holds the daemon's bytes.
func (n *Node) memoryStatus() admin.MemoryStatus {
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	pools := n.pools.Named()
	pools["store_index"] = n.stores.memory()
	return admin.MemoryStatus{CapBytes: n.cfg.MemoryBytes(), RSSBytes: residentBytes(), HeapBytes: int64(ms.HeapAlloc), Pools: pools}
}

// residentBytes is this process's resident set, 0 if unknown (proc(5), statm).
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
