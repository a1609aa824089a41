package node

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/VictoriaMetrics/metrics"

	"github.com/honeyant/honeyant"
)

// metricsRoute is where the command socket tells figures in the text format of Prometheus:
// curl --unix-socket honeyant.sock http://x/metrics
const metricsRoute = "GET /metrics"

func (n *Node) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	n.writeMetrics(w)
	metrics.WriteProcessMetrics(w)
}

// writeMetrics writes what this node knows by itself; what only the leader knows, only on it.
func (n *Node) writeMetrics(w io.Writer) {
	gauge := func(name string, v uint64) { metrics.WriteGaugeUint64(w, name, v) }
	n.storeMetrics(gauge)
	raft := n.quorum.Stats()
	for name, v := range map[string]uint64{
		"honeyant_raft_term": raft.Term, "honeyant_raft_commit_index": raft.Commit, "honeyant_raft_applied_index": raft.Applied,
		"honeyant_raft_log_bytes": uint64(max(0, raft.LogBytes)), "honeyant_raft_snapshot_bytes": uint64(max(0, raft.SnapshotBytes)),
		"honeyant_raft_incarnation": n.quorum.Incarnation(), "honeyant_raft_leads": flag(raft.Role == "leader"),
		"honeyant_failed": flag(n.Fault() != nil),
	} {
		gauge(name, v)
	}
	n.mountMetrics(w, gauge)
	n.backupMetrics(gauge)
	if service, ok := n.leadership.jobs(); ok {
		st := service.State()
		gauge(`honeyant_chunks{state="alive"}`, st.Total)
		gauge(`honeyant_chunks{state="short"}`, st.Short)
		gauge(`honeyant_chunks{state="lost"}`, st.Lost)
		gauge(`honeyant_chunks{state="sparse"}`, st.Packs.Sparse)
		gauge("honeyant_sparse_unused_bytes", st.Packs.SparseBytes)
		metrics.WriteCounterUint64(w, "honeyant_sparse_rewritten_total", st.Packs.Rewritten)
		metrics.WriteCounterUint64(w, "honeyant_sparse_freed_bytes_total", st.Packs.Freed)
		gauge("honeyant_heal_pending_copies", st.Pending)
		gauge("honeyant_heal_pending_bytes", uint64(st.PendingBytes))
		gauge("honeyant_sessions", uint64(len(n.leader.Sessions())))
		gauge("honeyant_open_inodes", uint64(n.leader.Opens()))
		jobs := service.Workers().List()
		for _, job := range jobs {
			metrics.WriteCounterUint64(w, fmt.Sprintf("honeyant_worker_steps_total{worker=%q}", job.Name), job.Steps)
		}
		for _, job := range jobs {
			metrics.WriteCounterUint64(w, fmt.Sprintf("honeyant_worker_errors_total{worker=%q}", job.Name), job.Errors)
		}
	}
	if m := n.tracker.Map(); m != nil {
		for _, state := range []honeyant.NodeState{honeyant.NodeUp, honeyant.NodeDown, honeyant.NodeOut} {
			count := uint64(0)
			for _, one := range m.Nodes {
				count += flag(one.State == state)
			}
			gauge(fmt.Sprintf("honeyant_nodes{state=%q}", state), count)
		}
	}
}

func flag(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// storeMetrics tells the sizes of this node's stores.
func (n *Node) storeMetrics(gauge func(string, uint64)) {
	list := n.stores.usage()
	for _, one := range list {
		gauge(fmt.Sprintf(`honeyant_store_capacity_bytes{store=%q}`, one.ID), uint64(max(0, one.Capacity)))
	}
	for _, one := range list {
		gauge(fmt.Sprintf(`honeyant_store_used_bytes{store=%q}`, one.ID), uint64(max(0, one.Used)))
	}
	for _, one := range list {
		gauge(fmt.Sprintf(`honeyant_store_available_bytes{store=%q}`, one.ID), uint64(max(0, one.Available)))
	}
	for _, one := range list {
		gauge(fmt.Sprintf(`honeyant_store_failing{store=%q}`, one.ID), flag(one.Failing))
	}
}

// mountMetrics tells what the mounts of this node hold and did.
func (n *Node) mountMetrics(w io.Writer, gauge func(string, uint64)) {
	n.mounts.mu.Lock()
	v, list := n.mounts.volume, maps.Clone(n.mounts.list)
	n.mounts.mu.Unlock()
	gauge("honeyant_mounts", uint64(len(list)))
	if v == nil {
		return
	}
	st := v.Stats()
	gauge("honeyant_volume_open_files", uint64(st.OpenFiles))
	gauge("honeyant_volume_inodes", uint64(st.Inodes))
	gauge("honeyant_volume_dirty_bytes", uint64(max(0, st.DirtyBytes+st.FlyingBytes)))
	gauge("honeyant_volume_read_cache_bytes", uint64(max(0, st.ReadCacheBytes)))
	gauge("honeyant_volume_fenced", flag(st.Fenced))
	gauge("honeyant_volume_held_inodes", uint64(st.Journal.Held))
	gauge("honeyant_volume_held_bytes", uint64(max(0, st.Journal.Memory)))
	gauge("honeyant_volume_journal_records", uint64(st.Journal.Records))
	gauge("honeyant_volume_journal_bytes", uint64(max(0, st.Journal.Bytes)))
	gauge("honeyant_volume_journal_age_milliseconds", uint64(st.Journal.Age.Milliseconds()))
	gauge("honeyant_volume_slowest_flush_milliseconds", uint64(st.Journal.Slowest.Milliseconds()))
	metrics.WriteCounterUint64(w, "honeyant_volume_local_operations_total", st.Journal.Local)
	metrics.WriteCounterUint64(w, "honeyant_volume_leases_taken_total", st.Journal.Taken)
	metrics.WriteCounterUint64(w, "honeyant_volume_leases_recalled_total", st.Journal.Recalls)
	metrics.WriteCounterUint64(w, "honeyant_volume_flushes_total", st.Journal.Flushes)
	metrics.WriteCounterUint64(w, "honeyant_volume_lost_changes_total", st.Journal.Lost)
	metrics.WriteCounterUint64(w, "honeyant_volume_written_bytes_total", st.BytesWritten)
	metrics.WriteCounterUint64(w, "honeyant_volume_read_bytes_total", st.BytesRead)
	metrics.WriteCounterUint64(w, "honeyant_volume_lost_writes_total", st.LostWrites)
	metrics.WriteCounterUint64(w, "honeyant_volume_cache_hits_total", st.CacheHits)
	metrics.WriteCounterUint64(w, "honeyant_volume_cache_misses_total", st.CacheMisses)
	gauge("honeyant_volume_remembered_inodes", uint64(st.Names.Inodes))
	gauge("honeyant_volume_remembered_bytes", uint64(max(0, st.Names.Bytes)))
	metrics.WriteCounterUint64(w, "honeyant_volume_names_hits_total", st.Names.Hits)
	metrics.WriteCounterUint64(w, "honeyant_volume_names_misses_total", st.Names.Misses)
	metrics.WriteCounterUint64(w, "honeyant_volume_names_recalled_total", st.Names.Recalls)
	for _, path := range slices.Sorted(maps.Keys(list)) {
		kept := list[path].fs.Kept()
		metrics.WriteCounterUint64(w, fmt.Sprintf("honeyant_fuse_kept_given_total{path=%q}", path), kept.Given)
		metrics.WriteCounterUint64(w, fmt.Sprintf("honeyant_fuse_kept_names_expired_total{path=%q}", path), kept.Expiries)
		metrics.WriteCounterUint64(w, fmt.Sprintf("honeyant_fuse_kept_inodes_expired_total{path=%q}", path), kept.Invalidations)
		requests := list[path].fs.Requests()
		for _, op := range slices.Sorted(maps.Keys(requests)) {
			metrics.WriteCounterUint64(w, fmt.Sprintf("honeyant_fuse_requests_total{path=%q,op=%q}", path, op), requests[op])
		}
	}
}
