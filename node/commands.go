package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/meta"
)

// commands are the methods of the command socket: those of this node, and those that go to
// the leader wherever it is.
func (n *Node) commands() (local, leader admin.Methods) {
	leader = admin.Methods{
		"colony.status": admin.Typed(n.colonyStatus),
		"node.show":     admin.Typed(n.showNode),
		"node.drain":    admin.Typed(n.drainNode),
		"node.drained":  admin.Typed(n.drainProgress),
		"node.remove":   admin.Typed(n.removeNode),
		"node.label":    admin.Typed(n.labelNode),
		"store.ls":      admin.Typed(n.listStores),
		"volume.ls":     admin.Typed(n.listVolumes),
		"token.create":  admin.Typed(n.createToken),
		"token.ls":      admin.Typed(n.listTokens),
		"token.revoke":  admin.Typed(n.revokeToken),
		"worker.ls":     admin.Typed(n.listWorkers),
		"worker.pause":  admin.Typed(n.pauseWorker),
		"worker.resume": admin.Typed(n.resumeWorker),
		"scrub":         admin.Typed(n.scrubNow),
		"fsck":          admin.Typed(n.fsck),
		"lease.holders": admin.Typed(n.leaseHolders),
		"fsck.confirm":  admin.Typed(n.confirmIncarnation),
		"backup.make":   admin.Typed(n.makeBackup),
		"backup.ls":     admin.Typed(n.listBackups),
	}
	local = admin.Methods{
		"status":     admin.Typed(n.status),
		"mount":      admin.Typed(n.mountCommand),
		"umount":     admin.Typed(n.umountCommand),
		"policy.get": admin.Typed(n.getPolicy),
		"policy.set": admin.Typed(n.setPolicy),
		"why":        admin.Typed(n.why),
		"file.put":   admin.Typed(n.putFile),
		"file.sum":   admin.Typed(n.sumFile),
	}
	for name, method := range leader {
		local[name] = n.toLeader(name, method)
	}
	return local, leader
}

func (n *Node) mountCommand(ctx context.Context, req MountRequest) (admin.None, error) {
	return admin.None{}, n.mounts.add(ctx, req)
}

func (n *Node) umountCommand(ctx context.Context, req MountRequest) (admin.None, error) {
	return admin.None{}, n.mounts.remove(ctx, req.Path)
}

// findNode finds a node by ID or name in the leader's map.
func (n *Node) findNode(text string) (honeyant.Node, *honeyant.Map, error) {
	m := n.tracker.Map()
	if m == nil {
		return honeyant.Node{}, nil, honeyant.E("node.Command", honeyant.Unavailable, text, errors.New("the leader has just changed; try again"))
	}
	if id, err := honeyant.ParseNodeID(text); err == nil {
		if one, ok := m.Node(id); ok {
			return one, m, nil
		}
	}
	var found []honeyant.Node
	for _, one := range m.Nodes {
		if one.Name == text && one.State != honeyant.NodeRemoved {
			found = append(found, one)
		}
	}
	switch len(found) {
	case 0:
		return honeyant.Node{}, nil, honeyant.E("node.Command", honeyant.NotExist, text, errors.New("no such node; `honeyant node ls` lists them"))
	case 1:
		return found[0], m, nil
	}
	return honeyant.Node{}, nil, honeyant.E("node.Command", honeyant.Conflict, text, fmt.Errorf("%d nodes have that name: say the ID, such as %s; `honeyant node ls` lists them", len(found), found[0].ID))
}

func (n *Node) showNode(_ context.Context, req Target) (ShowReply, error) {
	one, m, err := n.findNode(req.Node)
	if err != nil {
		return ShowReply{}, err
	}
	return ShowReply{Node: n.nodeStatus(m, one), Stores: storesOf(m, one.ID)}, nil
}

func (n *Node) listStores(context.Context, admin.None) ([]admin.StoreStatus, error) {
	return storesOf(n.tracker.Map(), 0), nil
}

// storesOf lists the stores of a node, of all nodes for 0.
func storesOf(m *honeyant.Map, id honeyant.NodeID) []admin.StoreStatus {
	list := []admin.StoreStatus{}
	if m == nil {
		return list
	}
	for _, s := range m.Stores {
		if s.State == honeyant.StoreRemoved || id != 0 && s.Node != id {
			continue
		}
		list = append(list, admin.StoreStatus{ID: s.ID.String(), Node: s.Node.String(), State: s.State.String(),
			CapacityBytes: s.Capacity, UsedBytes: s.Used, AvailableBytes: s.Available})
	}
	return list
}

func (n *Node) drainNode(ctx context.Context, req DrainRequest) (admin.None, error) {
	one, m, err := n.findNode(req.Node)
	if err != nil {
		return admin.None{}, err
	}
	if one.State == honeyant.NodeRemoved {
		return admin.None{}, honeyant.E("node.Drain", honeyant.Conflict, one.ID.String(), errors.New("it is removed already"))
	}
	from, to := honeyant.StoreActive, honeyant.StoreDraining
	if req.Undo {
		from, to = to, from
	}
	changed := 0
	for _, s := range m.Stores {
		if s.Node != one.ID || s.State != from && !(s.State == honeyant.StoreFailing && !req.Undo) {
			continue
		}
		if _, err := meta.Do(ctx, n.leader.Direct(), &meta.UpdateStore{ID: s.ID, State: to}); err != nil {
			return admin.None{}, err
		}
		changed++
	}
	n.tracker.Refresh()
	n.leadership.mapChanged()
	if changed == 0 && len(storesOf(m, one.ID)) == 0 {
		return admin.None{}, honeyant.E("node.Drain", honeyant.Conflict, one.ID.String(), errors.New("it has no store, so there is nothing to drain; remove it right away"))
	}
	return admin.None{}, nil
}

func (n *Node) drainProgress(ctx context.Context, req Target) (DrainProgress, error) {
	one, _, err := n.findNode(req.Node)
	if err != nil {
		return DrainProgress{}, err
	}
	p := DrainProgress{Node: one.ID.String()}
	committed, err := meta.Do(ctx, n.leader.Direct(), &meta.ListNodes{})
	if err != nil {
		return p, err
	}
	for _, s := range committed.Map.Stores {
		if s.Node == one.ID && s.State == honeyant.StoreActive {
			return p, honeyant.E("node.Drain", honeyant.Conflict, one.ID.String(), errors.New("it is not being drained (any more)"))
		}
	}
	jobs, ok := n.leadership.jobs()
	if !ok {
		return p, nil
	}
	st := jobs.State()
	left, known := st.Draining[one.ID]
	p.Left, p.Scanned, p.Stuck = left, st.Scanned && known, st.Stuck
	if !p.Scanned || left > 0 {
		return p, nil
	}
	// The count is of the last scan; the proof is a count of its own, now.
	held, err := jobs.CountOn(ctx, one.ID)
	if err != nil {
		return p, err
	}
	p.Left, p.Done = held, held == 0
	if p.Done {
		p.SafeNote = fmt.Sprintf("%s (%s) holds nothing any more: every chunk has its copies elsewhere, and each was read back before the one here was dropped. It may be removed and deleted: honeyant node remove %s", one.ID, one.Name, one.ID)
	}
	return p, nil
}

func (n *Node) removeNode(ctx context.Context, req RemoveRequest) (admin.None, error) {
	one, _, err := n.findNode(req.Node)
	if err != nil {
		return admin.None{}, err
	}
	if one.ID == n.identity.Self() {
		if s := n.quorum.Stats(); s.MayLose == 0 {
			return admin.None{}, honeyant.E("node.Remove", honeyant.Conflict, one.ID.String(), errors.New("the colony would have no metadata without it, or too few machines that keep them: let others join or start those that are down first (to give the whole colony up, stop the daemons and delete their directories)"))
		}
		// The leader can not lock itself out: another one has to do it.
		if err := n.quorum.TransferLeadership(ctx); err != nil {
			return admin.None{}, honeyant.E("node.Remove", honeyant.Conflict, one.ID.String(), fmt.Errorf("it leads the metadata and could not hand that over: %w", err))
		}
		return admin.None{}, honeyant.E("node.Remove", honeyant.Unavailable, one.ID.String(), errors.New("it led the metadata and has handed that over; run the command again"))
	}
	members, err := n.quorum.Members()
	if err != nil {
		return admin.None{}, err
	}
	committed, err := meta.Do(ctx, n.leader.Direct(), &meta.ListNodes{})
	if err != nil {
		return admin.None{}, err
	}
	if err := mayLock(members, &committed.Map, one.ID); err != nil {
		return admin.None{}, err
	}
	if _, err := meta.Do(ctx, n.leader.Direct(), &meta.RemoveNode{ID: one.ID, Force: req.Force}); err != nil {
		return admin.None{}, err
	}
	n.tracker.Refresh()
	n.leadership.mapChanged()
	return admin.None{}, nil
}

func (n *Node) labelNode(ctx context.Context, req LabelRequest) (admin.None, error) {
	one, _, err := n.findNode(req.Node)
	if err != nil {
		return admin.None{}, err
	}
	for _, label := range []string{req.Name, req.Zone} {
		if fault := config.LabelFault(label); label != "" && fault != "" {
			return admin.None{}, honeyant.E("node.Label", honeyant.Invalid, one.ID.String(), errors.New(fault))
		}
	}
	for _, r := range n.tracker.Reports() {
		if r.Node == one.ID && req.Zone != "" && r.Zone != "" && r.Zone != req.Zone {
			return admin.None{}, honeyant.E("node.Label", honeyant.Conflict, one.ID.String(), fmt.Errorf("its configuration says zone %q, which wins: change it in honeyant.toml there and restart the daemon", r.Zone))
		}
	}
	var set meta.NodeMask
	if req.Name != "" {
		one.Name, set = req.Name, set|meta.SetNodeName
	}
	if req.Zone != "" {
		one.Zone, set = req.Zone, set|meta.SetNodeZone
	}
	_, err = meta.Do(ctx, n.leader.Direct(), &meta.UpdateNode{Node: one, Set: set})
	n.tracker.Refresh()
	return admin.None{}, err
}

func (n *Node) listVolumes(ctx context.Context, _ admin.None) ([]admin.VolumeStatus, error) {
	st, err := meta.Do(ctx, n.leader.Direct(), &meta.StatFS{Volume: honeyant.MainVolume})
	if err != nil {
		return nil, err
	}
	return []admin.VolumeStatus{{Name: "main", Inodes: st.Inodes, Bytes: st.Bytes, InlineBytes: st.InlineBytes, Chunks: st.Chunks, ChunkBytes: st.ChunkBytes}}, nil
}

func (n *Node) createToken(ctx context.Context, req admin.TokenRequest) (admin.Join, error) {
	life := time.Duration(req.TTLSeconds * float64(time.Second))
	token, _, err := cluster.CreateToken(ctx, n.leader.Direct(), n.identity.Pin(), cluster.TokenOptions{Life: life, Uses: req.Uses})
	if err != nil {
		return admin.Join{}, err
	}
	// Any member can be asked; the leader is one that is up for certain.
	address := n.cfg.Listen
	if m := n.tracker.Map(); m != nil {
		if self, ok := m.Node(n.identity.Self()); ok {
			address = self.Address
		}
	}
	return admin.Join{Address: address, Token: token.String()}, nil
}

func (n *Node) listTokens(ctx context.Context, _ admin.None) ([]admin.TokenStatus, error) {
	r, err := meta.Do(ctx, n.leader.Direct(), &meta.ListTokens{})
	if err != nil {
		return nil, err
	}
	list := []admin.TokenStatus{}
	for _, t := range r.Tokens {
		list = append(list, admin.TokenStatus{Name: t.Name, Expires: t.Expires.Std(), Expired: t.Expires.Std().Before(time.Now()), UsesLeft: t.Left, Unlimited: t.Left == cluster.Unlimited})
	}
	return list, nil
}

func (n *Node) revokeToken(ctx context.Context, req struct {
	Token string `json:"token"`
}) (admin.None, error) {
	op := &meta.RevokeToken{Name: strings.TrimSpace(req.Token)}
	if t, err := cluster.ParseToken(req.Token); err == nil {
		op = &meta.RevokeToken{Hash: t.Hash()}
	}
	_, err := meta.Do(ctx, n.leader.Direct(), op)
	if errors.Is(err, honeyant.NotExist) {
		err = honeyant.E("node.Token", honeyant.NotExist, op.Name, errors.New("no such token; `honeyant token ls` lists them by their first letters"))
	}
	return admin.None{}, err
}
