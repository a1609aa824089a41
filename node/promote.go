package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/consensus"
	"github.com/honeyant/honeyant/meta"
)

// Promotion is what is known before a node is made the only voter by force.
type Promotion struct {
	Node        honeyant.NodeID
	Role        honeyant.Role
	Incarnation uint32          // the present one, as far as known here
	Others      []honeyant.Node // voters and learners of the last known map, but this node
	InSync      bool            // the last leader said that this mirror has everything
	MirrorKnown bool
}

// Plan is what will happen, for the person who must decide.
func (p *Promotion) Plan() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This machine, %s, will be the only metadata voter of the colony.\n", p.Node)
	for _, o := range p.Others {
		fmt.Fprintf(&b, "%s (%s, %s, a %s) will be cut off: if it is alive, stop it now. It must not go on with its old metadata, and will refuse to.\n", o.ID, o.Name, o.Address, o.Role)
	}
	switch {
	case p.MirrorKnown && p.InSync:
		b.WriteString("When last heard, this machine had everything that was acknowledged. If the other one has served on alone since (its status then said degraded), what it acknowledged in that time WILL BE LOST.")
	case p.MirrorKnown:
		b.WriteString("WARNING: the other machine had gone on without this one (status said degraded). What was acknowledged since then WILL BE LOST.")
	default:
		b.WriteString("What a quorum acknowledged without this machine WILL BE LOST.")
	}
	return b.String()
}

// InspectPromotion reads what there is to know in a node directory whose daemon is stopped.
func InspectPromotion(path string, parts Parts) (*Promotion, error) {
	dir, err := config.OpenDir(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	id, err := cluster.LoadIdentity(dir.Identity())
	if err != nil {
		return nil, err
	}
	m, err := cluster.LoadMap(dir.MapFile())
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, honeyant.E("node.Promote", honeyant.Invalid, path, errors.New("this machine never heard of its colony; there is nothing to promote"))
	}
	p := &Promotion{Node: id.Self(), Incarnation: m.Incarnation}
	for _, one := range m.Nodes {
		if one.ID == id.Self() {
			p.Role = one.Role
		} else if one.Role != honeyant.RoleNone && one.State != honeyant.NodeRemoved {
			p.Others = append(p.Others, one)
		}
	}
	parts = parts.withDefaults()
	stored, err := consensus.StoredIncarnation(consensus.Options{Dir: dir.Raft(), Self: p.Node, FSM: noState{}, FS: parts.FS, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if p.Role == honeyant.RoleNone && stored == 0 { // the map may be a little older than the log
		return nil, honeyant.E("node.Promote", honeyant.Invalid, id.Self().String(), errors.New("this machine kept no metadata; run it on one that was a voter or a learner"))
	}
	p.Incarnation = max(p.Incarnation, uint32(stored))
	return p, p.readMirror(dir, parts)
}

// noState is for looking at a log without what it is applied to.
type noState struct{ consensus.StateMachine }

// readMirror looks up what the leader last committed about its mirror, and the incarnation of the state.
func (p *Promotion) readMirror(dir *config.Dir, parts Parts) error {
	db, err := openDatabase(parts.FS, dir.Meta(), config.PoolsFor(0), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := db.Query(&meta.GetSetting{Name: settingMirror})
	if err != nil {
		return err
	}
	members, err := db.Query(&meta.ListNodes{})
	if err != nil {
		return err
	}
	if list, ok := members.(*meta.MapReply); ok {
		p.Incarnation = max(p.Incarnation, list.Map.Incarnation)
	}
	if s, ok := r.(*meta.SettingReply); ok && len(s.Value) > 0 {
		p.MirrorKnown, p.InSync = true, string(s.Value) == mirrorInSync
	}
	return nil
}

// Promote makes the node in path the only voter, with all of its log. The daemon must be
// stopped. Interrupted, it can be repeated.
func Promote(path string, parts Parts) error {
	parts = parts.withDefaults()
	p, err := InspectPromotion(path, parts)
	if err != nil {
		return err
	}
	dir, err := config.OpenDir(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	log := slog.New(slog.DiscardHandler)
	// The marker comes first: from now on the node raises the incarnation before it serves. One that is there
	// already keeps its number: that promotion was interrupted.
	to, err := promotedTo(path)
	if err == nil && to == 0 {
		to = p.Incarnation + 1
		err = markPromoted(path, to)
	}
	if err != nil {
		return err
	}
	db, err := openDatabase(parts.FS, dir.Meta(), config.PoolsFor(0), log)
	if err != nil {
		return err
	}
	err = consensus.ForceSingle(consensus.Options{Dir: dir.Raft(), Self: p.Node, FSM: db, FS: parts.FS, Log: log}, uint64(to))
	return errors.Join(err, db.Flush(), db.Close())
}

func dirMarker(path, name string) string { return (&Node{path: path}).marker(name) }

// markPromoted lets the node raise the incarnation to so much before it serves; durable on return.
func markPromoted(path string, to uint32) error {
	return config.WriteFile(dirMarker(path, promotedFile), []byte(strconv.FormatUint(uint64(to), 10)+"\n"), 0o600)
}

// promotedTo is the incarnation that a promotion which is not through began, 0 if there is none.
func promotedTo(path string) (uint32, error) {
	text, err := os.ReadFile(dirMarker(path, promotedFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, honeyant.E("node.Promote", honeyant.Internal, promotedFile, err)
	}
	to, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return 0, honeyant.E("node.Promote", honeyant.Corrupt, promotedFile, err)
	}
	return uint32(to), nil
}

// raise begins a new incarnation in the metadata if this node was promoted, before anybody is served (rule 4).
// The log is of that incarnation since the promotion itself.
func (n *Node) raise(ctx context.Context) error {
	to, err := promotedTo(n.path)
	if err != nil || to == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, foundDeadline)
	defer cancel()
	if err := n.waitLeading(ctx); err != nil {
		return err
	}
	for {
		list, err := meta.Do(ctx, n.leader.Direct(), &meta.ListNodes{})
		if err != nil {
			return err
		}
		if list.Map.Incarnation >= to {
			break
		}
		if _, err := meta.Do(ctx, n.leader.Direct(), &meta.RaiseIncarnation{From: list.Map.Incarnation}); err != nil {
			return err
		}
	}
	n.tracker.Refresh()
	n.log.Warn("this node was promoted: the colony has a new incarnation", "incarnation", to)
	if err := os.Remove(n.marker(promotedFile)); err != nil {
		return honeyant.E("node.Open", honeyant.Internal, promotedFile, err)
	}
	return syncDir(vfs.Default, n.path)
}
