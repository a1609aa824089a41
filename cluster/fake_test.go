package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// metadata is the replicated state that the package needs, in memory, with one leader.
type metadata struct {
	mu       sync.Mutex
	m        honeyant.Map
	leader   honeyant.NodeID
	keys     map[string]honeyant.NodeID
	stores   map[string]honeyant.StoreID
	tokens   []meta.Token
	settings map[string][]byte
	changes  []meta.Op // those that were carried out
	fail     func(meta.Op) error
}

func newMetadata() *metadata {
	return &metadata{leader: 1, keys: map[string]honeyant.NodeID{}, stores: map[string]honeyant.StoreID{}, settings: map[string][]byte{}}
}

// local is the leader's own Doer on a node; it fails when that node does not lead.
func (s *metadata) local(self honeyant.NodeID) meta.Doer { return doer{s, self} }

// remote is a session at a distance.
func (s *metadata) remote() meta.Doer { return doer{s, 0} }

type doer struct {
	s    *metadata
	self honeyant.NodeID
}

func (d doer) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, honeyant.E("fake", honeyant.Unavailable, "", err)
	}
	op, err := meta.DecodeOp(meta.EncodeOp(op)) // as a network would
	if err != nil {
		return nil, err
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.leader == 0 {
		return nil, honeyant.E("fake", honeyant.Unavailable, "no leader", nil)
	}
	if d.self != 0 && d.self != d.s.leader {
		return nil, honeyant.E("fake", honeyant.NotLeader, "", nil)
	}
	if d.s.fail != nil {
		if err := d.s.fail(op); err != nil {
			return nil, err
		}
	}
	reply, err := d.s.eval(op)
	if err == nil && !meta.ReadOnly(op) {
		d.s.m.Version++
		d.s.changes = append(d.s.changes, op)
	}
	return reply, err
}

func (s *metadata) eval(op meta.Op) (meta.Reply, error) {
	switch o := op.(type) {
	case *meta.Bootstrap:
		if s.m.Cluster != "" {
			return nil, honeyant.E("fake", honeyant.Exist, "", nil)
		}
		s.m.Cluster, s.m.Incarnation = o.Cluster, 1
		return &meta.Done{}, nil
	case *meta.AddNode:
		return s.addNode(o)
	case *meta.UpdateNode:
		for i := range s.m.Nodes {
			n := &s.m.Nodes[i]
			if n.ID != o.Node.ID {
				continue
			}
			if o.Set&meta.SetNodeState != 0 {
				n.State = o.Node.State
			}
			if o.Set&meta.SetNodeAddress != 0 {
				n.Address = o.Node.Address
			}
			if o.Set&meta.SetNodeZone != 0 {
				n.Zone = o.Node.Zone
			}
			if o.Set&meta.SetNodeRole != 0 {
				n.Role = o.Node.Role
			}
			return &meta.NodeReply{Node: *n}, nil
		}
		return nil, honeyant.E("fake", honeyant.NotExist, "", nil)
	case *meta.RemoveNode:
		for i := range s.m.Nodes {
			if s.m.Nodes[i].ID == o.ID {
				s.m.Nodes[i].State = honeyant.NodeRemoved
			}
		}
		return &meta.Done{}, nil
	case *meta.ListNodes:
		m := s.m
		m.Nodes = append([]honeyant.Node(nil), m.Nodes...)
		m.Stores = append([]honeyant.Store(nil), m.Stores...)
		return &meta.MapReply{Map: m}, nil
	case *meta.AddStore:
		id, ok := s.stores[o.Key]
		if !ok {
			id = honeyant.StoreID(len(s.stores) + 1)
			s.stores[o.Key] = id
			s.m.Stores = append(s.m.Stores, honeyant.Store{ID: id, Node: o.Node, State: honeyant.StoreActive, Capacity: o.Capacity})
		}
		return &meta.StoreReply{Store: s.m.Stores[id-1]}, nil
	case *meta.UpdateStore:
		if o.State != 0 {
			s.m.Stores[o.ID-1].State = o.State
		}
		if o.Capacity != 0 {
			s.m.Stores[o.ID-1].Capacity = o.Capacity
		}
		return &meta.StoreReply{Store: s.m.Stores[o.ID-1]}, nil
	}
	return s.evalNamed(op)
}

func (s *metadata) evalNamed(op meta.Op) (meta.Reply, error) {
	switch o := op.(type) {
	case *meta.AddToken:
		s.tokens = append(s.tokens, o.Token)
		return &meta.Done{}, nil
	case *meta.RevokeToken:
		for i := range s.tokens {
			if s.tokens[i].Name == o.Name {
				s.tokens = append(s.tokens[:i], s.tokens[i+1:]...)
				return &meta.Done{}, nil
			}
		}
		return nil, honeyant.E("fake", honeyant.NotExist, o.Name, nil)
	case *meta.ListTokens:
		return &meta.TokensReply{Tokens: s.tokens}, nil
	case *meta.GetSetting:
		return &meta.SettingReply{Value: s.settings[o.Name]}, nil
	case *meta.PutSetting:
		if o.Compare && !bytes.Equal(s.settings[o.Name], o.Expect) {
			return nil, honeyant.E("fake", honeyant.Conflict, o.Name, nil)
		}
		s.settings[o.Name] = o.Value
		return &meta.Done{}, nil
	}
	return nil, honeyant.E("fake", honeyant.Unsupported, op.Code().String(), nil)
}

func (s *metadata) addNode(o *meta.AddNode) (meta.Reply, error) {
	if id, ok := s.keys[string(o.PublicKey)]; ok {
		return &meta.NodeReply{Node: s.m.Nodes[id-1]}, nil
	}
	if len(s.m.Nodes) > 0 {
		ok := false
		for i := range s.tokens {
			t := &s.tokens[i]
			if bytes.Equal(t.Hash, o.TokenHash) && t.Left > 0 && honeyant.TimeOf(time.Now()).Before(t.Expires) {
				t.Left--
				ok = true
			}
		}
		if !ok {
			return nil, honeyant.E("fake", honeyant.Permission, "token", errors.New("no good"))
		}
	}
	id := honeyant.NodeID(len(s.m.Nodes) + 1)
	s.keys[string(o.PublicKey)] = id
	s.m.Nodes = append(s.m.Nodes, honeyant.Node{ID: id, Name: o.Name, Address: o.Address, Zone: o.Zone, State: honeyant.NodeUp})
	return &meta.NodeReply{Node: s.m.Nodes[id-1]}, nil
}

func (s *metadata) lead(id honeyant.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = id
}

func (s *metadata) state(id honeyant.NodeID) honeyant.NodeState {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ := s.m.Node(id)
	return n.State
}
