package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/internal/version"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/replica"
	"github.com/honeyant/honeyant/rpc"
)

const (
	foundDeadline = 30 * time.Second // a first node becoming its own leader
	closeDeadline = 20 * time.Second // writing out what the mounts hold at the end
)

// openMembership joins network, metadata and chunks, now that all of them exist.
func (n *Node) openMembership(context.Context) (err error) {
	self := n.identity.Self()
	metaHandler := remote.NewServer(remote.ServerOptions{Leader: n.localLeader, Hint: n.leaderHint})
	n.calls.meta = rpc.NewClient(n.net, n.resolve, rpc.ProtoMeta, rpc.Options{Self: self, Local: metaHandler, Log: n.log})
	n.doer = remote.NewAdmin(n.sessionOptions("daemon"))
	_, leaderMethods := n.commands()
	n.agent, err = cluster.NewAgent(cluster.AgentOptions{
		Identity: n.identity, Calls: lateCaller{n}, Doer: n.doer, Tracker: n.tracker, Self: n.member(), MapFile: n.dir.MapFile(),
		Methods: cluster.Methods{methodAdmin: n.serveForwarded(leaderMethods)},
		Leader:  n.consensusLeader, Report: n.report, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.calls.control = rpc.NewClient(n.net, n.resolve, rpc.ProtoControl, rpc.Options{Self: self, Local: n.agent.Handle, Log: n.log})
	n.chunks = replica.New(replica.Options{Network: n.net, Map: n.agent.Map, Local: n.stores, Self: self, Log: n.log, OnBad: n.reportBad,
		Fresh: n.agent.Fresh, Streams: n.streams()})
	n.agent.OnMap(n.mapChanged)
	close(n.leadership.together)
	return nil
}

// streamBytes is what a stream holds at one end of a store: in the network's buffers, and in the disk's.
const streamBytes = 256 << 10

// streams is how many streams the pool has room for, half of it at each end (rule 37).
func (n *Node) streams() int { return max(4, int(n.pools.Streams/streamBytes/2)) }

// sessionOptions are how this node reaches the metadata leader.
func (n *Node) sessionOptions(name string) remote.Options {
	return remote.Options{Caller: n.calls.meta, Local: n.localLeader, Leader: n.leaderHint, Candidates: n.voters,
		Node: n.identity.Self(), Name: name, Deadline: n.cfg.CallDeadline, Log: n.log}
}

// serveProtocols begins to answer the other nodes.
func (n *Node) serveProtocols(context.Context) error {
	serve := func(p rpc.Proto, h rpc.Handler) {
		n.start(func(ctx context.Context) {
			if err := rpc.Serve(ctx, n.net.Listen(p), h, rpc.Options{Log: n.log}); err != nil && ctx.Err() == nil {
				n.fault.set(fmt.Errorf("%s: %w", p, err))
			}
		})
	}
	serve(rpc.ProtoMeta, n.agent.Guard(remote.NewServer(remote.ServerOptions{Leader: n.localLeader, Hint: n.leaderHint})))
	serve(rpc.ProtoControl, n.agent.Handle)
	n.start(func(ctx context.Context) { n.agent.ServeJoin(ctx, n.net.Listen(rpc.ProtoJoin)) })
	n.start(func(ctx context.Context) {
		replica.NewServer(n.chunks).Serve(ctx, n.net.Listen(rpc.ProtoChunk))
	})
	n.start(n.serveMeasuring)
	n.agent.Start()
	return nil
}

// found gives a new cluster its birth, on its first node; repeated after a crash in between.
func (n *Node) found(ctx context.Context) error {
	if !n.identity.Founding() {
		return nil
	}
	if err := n.quorum.Bootstrap(); err != nil && !errors.Is(err, honeyant.Conflict) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, foundDeadline)
	defer cancel()
	if err := n.waitLeading(ctx); err != nil {
		return err
	}
	if err := n.identity.Found(ctx, n.leader.Direct(), n.member()); err != nil {
		return err
	}
	n.tracker.Refresh()
	n.agent.Wake()
	return nil
}

// waitLeading waits until this node leads.
func (n *Node) waitLeading(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, ok := n.leader.Epoch(); ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return honeyant.E("node.Open", honeyant.Unavailable, "", errors.New("this node did not become the metadata leader in time"))
		case <-tick.C:
		}
	}
}

func (n *Node) member() cluster.Member {
	return cluster.Member{Name: n.cfg.Name, Address: n.cfg.Address(), Zone: n.cfg.Zone}
}

// localLeader is this node's leader while it leads.
func (n *Node) localLeader() (*meta.Leader, bool) {
	_, ok := n.leader.Epoch()
	return n.leader, ok
}

// consensusLeader is whom consensus believes to lead, 0 for nobody.
func (n *Node) consensusLeader() honeyant.NodeID {
	id, ok := n.quorum.Leader()
	if !ok {
		return 0
	}
	return id
}

// leaderNow is who leads as far as this node knows, 0 for nobody.
func (n *Node) leaderNow() honeyant.NodeID {
	if id := n.consensusLeader(); id != 0 {
		return id
	}
	return n.agent.Leader()
}

func (n *Node) leaderHint() (honeyant.NodeID, bool) {
	id := n.leaderNow()
	return id, id != 0
}

// voters lists who may lead.
func (n *Node) voters() (list []honeyant.NodeID) {
	m := n.agent.Map()
	if m == nil {
		return nil
	}
	for _, one := range m.Nodes {
		if one.Role == honeyant.RoleVoter && one.State != honeyant.NodeRemoved {
			list = append(list, one.ID)
		}
	}
	return list
}

// storeUp tells the leader whether a store answers at present.
func (n *Node) storeUp(id honeyant.StoreID) bool {
	m := n.tracker.Map()
	return m == nil || m.StoreUp(id)
}

func (n *Node) lastMap() *honeyant.Map {
	if !n.joined() {
		return nil
	}
	return n.agent.Map()
}

// report is what this node's heartbeats carry.
func (n *Node) report() cluster.Report {
	applied, _ := n.database.AppliedIndex()
	return cluster.Report{Version: version.Text(), Feature: featureLevel, Applied: applied, MemTotal: memoryTotal(), MemUsed: residentBytes(),
		UptimeSecs: uint64(time.Since(n.began).Seconds()), Stores: n.stores.usage()}
}

// mapChanged follows the map: removed nodes are cut off, stores follow the incarnation.
func (n *Node) mapChanged(_, now *honeyant.Map) {
	n.net.Recheck()
	if mine := n.quorum.Incarnation(); mine != 0 && uint64(now.Incarnation) > mine {
		// Whoever keeps metadata of the new incarnation knows of it before the map does.
		n.superseded(now.Incarnation)
		return
	}
	if err := n.stores.raise(now.Incarnation); err != nil {
		n.log.Error("a store could not note the cluster's incarnation", "error", err)
	}
	if self, ok := now.Node(n.identity.Self()); ok && self.State == honeyant.NodeRemoved {
		n.fault.set(honeyant.E("node.Run", honeyant.Permission, self.ID.String(), errors.New("this machine was removed from the colony; to use it again, empty its directory and join as a new one")))
		return
	}
	n.leadership.mapChanged()
}

// reportBad tells the leader of a replica that failed its checksum.
func (n *Node) reportBad(id honeyant.ChunkID, r honeyant.Replica) {
	n.log.Warn("a damaged replica was read; another copy was used", "chunk", id, "store", r.Store)
	n.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, closeDeadline)
		defer cancel()
		_, err := meta.Do(ctx, n.doer, &meta.ReportBad{Volume: honeyant.MainVolume, Chunk: id, Replica: r})
		if err != nil && !errors.Is(err, honeyant.NotExist) && !errors.Is(err, honeyant.Stale) {
			n.log.Warn("a damaged replica could not be reported; the scrub will find it", "chunk", id, "error", err)
		}
	})
}

// halted is called when this node's metadata role can not go on (rule 9).
func (n *Node) halted(err error) {
	n.fault.set(fmt.Errorf("this node's metadata can not go on: %w", err))
}

// metadataSuperseded is consensus.Events.OnSuperseded.
func (n *Node) metadataSuperseded(incarnation uint64) { n.superseded(uint32(incarnation)) }

// superseded is called when the cluster has a newer incarnation than this node knows (rule 4).
func (n *Node) superseded(incarnation uint32) {
	if err := config.WriteFile(n.marker(supersededFile), []byte(fmt.Sprintln(incarnation)), 0o600); err != nil {
		n.log.Error("could not note that this node's metadata are superseded", "error", err)
	}
	n.fault.set(honeyant.E("node.Run", honeyant.Stale, "", fmt.Errorf("the colony was promoted to incarnation %d without this node; its old metadata must not be used", incarnation)))
}

// monitorStores gets the stores their IDs, as soon as there is a leader.
func (n *Node) monitorStores(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.stores.register(ctx, n.agent)
		if err == nil {
			n.agent.Wake()
			return
		}
		n.log.Warn("the stores of this node are not registered yet", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// monitorFault lets a node that can not go on stop answering at once.
func (n *Node) monitorFault(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-n.Failed():
		n.log.Error("the node stops", "error", n.Fault())
	}
}

// askLeader runs a leader's command from here.
func (n *Node) askLeader(ctx context.Context, name string, params, result any) error {
	return callMethod(ctx, n.leaderCommand(name), params, result)
}

// Close takes the node down: mounts are written out and unmounted, the rest follows. Twice is
// harmless.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeDeadline)
	defer cancel()
	var faults []error
	keep := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
	}
	if n.socket != nil {
		keep("command socket", n.socket.Close())
	}
	keep("mounts", n.mounts.close(ctx))
	if n.quorum != nil && n.quorum.IsLeader() {
		// A clean stop hands the leadership over, so that others need not wait for an election.
		hand, done := context.WithTimeout(ctx, 2*time.Second)
		n.quorum.TransferLeadership(hand)
		done()
	}
	n.stop(errors.New("the node is closing"))
	if n.quorum != nil {
		keep("consensus", n.quorum.Close())
	}
	n.leadership.end()
	if n.agent != nil {
		keep("membership", n.agent.Close())
	}
	if n.tracker != nil {
		keep("tracker", n.tracker.Close())
	}
	n.jobs.Wait()
	if n.chunks != nil {
		keep("chunks", n.chunks.Close())
	}
	for _, c := range []*rpc.Client{n.calls.control, n.calls.meta} {
		if c != nil {
			keep("calls", c.Close())
		}
	}
	if n.net != nil {
		keep("network", n.net.Close())
	}
	if n.database != nil {
		keep("metadata", n.database.Close())
	}
	if n.stores != nil {
		keep("stores", n.stores.close())
	}
	if n.dir != nil {
		keep("directory", n.dir.Close())
	}
	return errors.Join(faults...)
}
