package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// maxWhyExtents bounds how much of a file `why` looks at.
const maxWhyExtents = 100_000

// find walks from the root of the volume to a path below a mount of this node. The leader knows what is there, too, then.
func (n *Node) find(ctx context.Context, abs string) (*volume.Volume, honeyant.Attr, error) {
	rel, err := n.mounts.locate(path.Clean(abs))
	if err != nil {
		return nil, honeyant.Attr{}, err
	}
	v, err := n.mounts.use(ctx)
	if err != nil {
		return nil, honeyant.Attr{}, err
	}
	attr, err := walk(ctx, v, rel)
	if err == nil {
		err = v.Publish(ctx, attr.Ino)
	}
	return v, attr, err
}

// walk looks a relative path up, name by name; symlinks are not followed.
func walk(ctx context.Context, v *volume.Volume, rel string) (honeyant.Attr, error) {
	attr, err := v.GetAttr(ctx, honeyant.RootIno)
	for _, name := range strings.Split(rel, "/") {
		if err != nil {
			return attr, err
		}
		if name != "" {
			attr, err = v.Lookup(ctx, attr.Ino, name)
		}
	}
	return attr, err
}

func (n *Node) getPolicy(ctx context.Context, req PathRequest) (admin.PolicyStatus, error) {
	_, attr, err := n.find(ctx, req.Path)
	if err != nil {
		return admin.PolicyStatus{}, err
	}
	r, err := meta.Do(ctx, n.doer, &meta.GetPolicy{Volume: honeyant.MainVolume, Ino: attr.Ino})
	if err != nil {
		return admin.PolicyStatus{}, err
	}
	copies, minCopies := r.Policy.Effective(n.members())
	s := admin.PolicyStatus{Path: req.Path, From: "default", Copies: copies, Auto: r.Policy.Copies == 0, MinCopies: minCopies, Placement: r.Policy.Placement.String()}
	if r.At != 0 {
		if p, err := meta.Do(ctx, n.doer, &meta.Path{Volume: honeyant.MainVolume, Ino: r.At}); err == nil {
			s.From = p.Path + " of the volume"
		}
	}
	for _, id := range r.Policy.Pinned {
		s.Stores = append(s.Stores, id.String())
	}
	return s, nil
}

// members counts the nodes that are not removed.
func (n *Node) members() (count int) {
	m := n.agent.Map()
	if m == nil {
		return 1
	}
	for _, one := range m.Nodes {
		if one.State != honeyant.NodeRemoved {
			count++
		}
	}
	return count
}

func (n *Node) setPolicy(ctx context.Context, req PolicyRequest) (admin.None, error) {
	const op = "node.SetPolicy"
	_, attr, err := n.find(ctx, req.Path)
	if err != nil {
		return admin.None{}, err
	}
	if !attr.IsDir() {
		return admin.None{}, honeyant.E(op, honeyant.NotDir, req.Path, errors.New("policies belong to directories"))
	}
	m := n.agent.Map()
	for _, id := range req.Policy.Pinned {
		if s, ok := m.Store(id); !ok || s.State == honeyant.StoreRemoved {
			return admin.None{}, honeyant.E(op, honeyant.Invalid, id.String(), errors.New("no such store; `honeyant store ls` lists them"))
		}
	}
	// The leader moves it down the tree, and then what is there already over the stores, in the background.
	_, err = meta.Do(ctx, n.doer, &meta.SetPolicy{Volume: honeyant.MainVolume, Ino: attr.Ino, Remove: req.Remove, Policy: req.Policy})
	return admin.None{}, err
}

func (n *Node) why(ctx context.Context, req PathRequest) (admin.WhyReport, error) {
	_, attr, err := n.find(ctx, req.Path)
	if err != nil {
		return admin.WhyReport{}, err
	}
	r := admin.WhyReport{Path: req.Path, Ino: uint64(attr.Ino), Type: typeName(attr.Mode), SizeBytes: attr.Size, Chunks: []admin.WhyChunk{}}
	// First, since the questions below may recall leases.
	if err := callMethod(ctx, n.leaderCommand("lease.holders"), admin.LeaseQuery{Ino: uint64(attr.Ino)}, &r.Leases); err != nil {
		return r, err
	}
	policy, err := meta.Do(ctx, n.doer, &meta.GetPolicy{Volume: honeyant.MainVolume, Ino: attr.Ino})
	if err != nil {
		return r, err
	}
	copies, _ := policy.Policy.Effective(n.members())
	r.Policy = fmt.Sprintf("copies=%d placement=%s", copies, policy.Policy.Placement)
	if attr.IsFile() {
		if err := n.whyChunks(ctx, &r, attr); err != nil {
			return r, err
		}
	}
	r.Sentences = append(r.Sentences, whySentences(&r, copies)...)
	for _, l := range r.Leases {
		r.Sentences = append(r.Sentences, leaseSentence(l))
	}
	return r, nil
}

// leaseHolders answers at the leader.
func (n *Node) leaseHolders(_ context.Context, q admin.LeaseQuery) ([]admin.LeaseHolder, error) {
	sessions := map[honeyant.SessionID]meta.SessionStatus{}
	for _, s := range n.leader.Sessions() {
		sessions[s.ID] = s
	}
	list := []admin.LeaseHolder{}
	for _, h := range n.leader.Holders(meta.OpenFile{Volume: honeyant.MainVolume, Ino: honeyant.Ino(q.Ino)}) {
		s := sessions[h.Session]
		list = append(list, admin.LeaseHolder{
			Session: uint64(h.Session), Node: s.Node.String(), Exclusive: h.Exclusive, Recalled: h.Recalled, SilentSeconds: s.Silence.Seconds(),
		})
	}
	return list, nil
}

func leaseSentence(l admin.LeaseHolder) string {
	out := fmt.Sprintf("%s answers for it from memory", l.Node)
	if l.Exclusive {
		out = fmt.Sprintf("%s is alone with it and changes it by itself; the others hear of that when they ask", l.Node)
	}
	if l.Recalled {
		out += fmt.Sprintf(", and was asked to give that up (last heard of %.1f s ago)", l.SilentSeconds)
	}
	return out + "."
}

// whyChunks lists the chunks of a file and what is known of their copies.
func (n *Node) whyChunks(ctx context.Context, r *admin.WhyReport, attr honeyant.Attr) error {
	index := map[honeyant.ChunkID]int{}
	covered := uint64(0)
	m := n.agent.Map()
	for offset, seen := uint64(0), 0; offset < attr.Size && seen < maxWhyExtents; {
		x, err := meta.Do(ctx, n.doer, &meta.Extents{Volume: honeyant.MainVolume, Ino: attr.Ino, Offset: offset, Length: attr.Size - offset})
		if err != nil {
			return err
		}
		for _, e := range x.Extents {
			covered += uint64(e.Length)
			seen++
			if e.Chunk.IsZero() {
				r.Inline += uint64(e.Length)
				continue
			}
			if i, ok := index[e.Chunk]; ok {
				r.Chunks[i].Extents++
				continue
			}
			one, err := n.whyChunk(ctx, m, e.Chunk)
			if err != nil {
				return err
			}
			index[e.Chunk] = len(r.Chunks)
			r.Chunks = append(r.Chunks, one)
		}
		if x.Until <= offset {
			break
		}
		offset = x.Until
	}
	r.Holes = attr.Size - min(attr.Size, covered)
	return nil
}

func (n *Node) whyChunk(ctx context.Context, m *honeyant.Map, id honeyant.ChunkID) (admin.WhyChunk, error) {
	c, err := meta.Do(ctx, n.doer, &meta.GetChunk{Volume: honeyant.MainVolume, Chunk: id})
	if err != nil {
		return admin.WhyChunk{}, err
	}
	one := admin.WhyChunk{ID: id.String(), Bytes: c.Chunk.Sum.Length, Extents: 1}
	for _, rep := range c.Chunk.Replicas {
		s, known := m.Store(rep.Store)
		state := "ok"
		switch {
		case rep.Dropping:
			state = "being dropped"
		case rep.Bad:
			state = "bad"
		case !known || s.State == honeyant.StoreRemoved:
			state = "missing"
		case !m.StoreUp(rep.Store):
			state = "down"
		}
		one.Replicas = append(one.Replicas, admin.WhyReplica{Store: rep.Store.String(), Node: s.Node.String(), Generation: uint64(rep.Generation), State: state})
	}
	return one, nil
}

// whySentences says what the table means.
func whySentences(r *admin.WhyReport, copies int) []string {
	var out []string
	if r.Type != "file" {
		return []string{"It is a " + r.Type + ": it lives in the metadata, on every voter. Policy: " + r.Policy + "."}
	}
	if r.Inline > 0 {
		out = append(out, fmt.Sprintf("%d bytes live with the metadata, on every voter.", r.Inline))
	}
	short, lost := 0, 0
	for _, c := range r.Chunks {
		ok := 0
		for _, rep := range c.Replicas {
			if rep.State == "ok" {
				ok++
			}
		}
		if ok == 0 {
			lost++
		} else if ok < copies {
			short++
		}
	}
	switch all := len(r.Chunks); {
	case lost > 0:
		out = append(out, fmt.Sprintf("%s can not be read now: no copy is on a machine that is up.", someChunks(lost, all)))
	case short == 1:
		out = append(out, fmt.Sprintf("%s has fewer copies than the policy wants (%s); `honeyant status` tells when that is healed.", someChunks(short, all), r.Policy))
	case short > 0:
		out = append(out, fmt.Sprintf("%s have fewer copies than the policy wants (%s); `honeyant status` tells when that is healed.", someChunks(short, all), r.Policy))
	case all == 1:
		out = append(out, fmt.Sprintf("Its one chunk has all its copies (%s).", r.Policy))
	case all > 0:
		out = append(out, fmt.Sprintf("All its %d chunks have their copies (%s).", all, r.Policy))
	}
	if r.Holes > 0 {
		out = append(out, fmt.Sprintf("%d bytes are holes, which read as zero and take no space.", r.Holes))
	}
	return out
}

// someChunks says n of all.
func someChunks(n, all int) string {
	if all == 1 {
		return "Its one chunk"
	}
	return fmt.Sprintf("%d of its %d chunks", n, all)
}

func typeName(mode uint32) string {
	switch mode & honeyant.ModeType {
	case honeyant.ModeDir:
		return "directory"
	case honeyant.ModeSymlink:
		return "symlink"
	case honeyant.ModeFile:
		return "file"
	case honeyant.ModeFifo:
		return "fifo"
	case honeyant.ModeSocket:
		return "socket"
	}
	return "device"
}
