package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/meta"
)

// stopAfter carries out so many operations; at the next one the machine dies, before or after
// that was carried out.
type stopAfter struct {
	meta.Doer
	left  int
	after bool
}

var errDead = errors.New("the machine died")

func (d *stopAfter) Do(ctx context.Context, op meta.Op) (meta.Reply, error) {
	if d.left--; d.left >= 0 {
		return d.Doer.Do(ctx, op)
	}
	if d.after {
		if _, err := d.Doer.Do(ctx, op); err != nil {
			return nil, err
		}
	}
	return nil, errDead
}

// A founding that is cut off anywhere is completed by the next one, and the authority's key
// is always either on disk or in the settings.
func TestFoundingCrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		for left := 0; ; left++ {
			dir := filepath.Join(t.TempDir(), "identity")
			_, err := cluster.Init(dir)
			must(t, err)
			s := newMetadata()
			id, err := cluster.LoadIdentity(dir)
			must(t, err)
			self := cluster.Member{Name: "one", Address: "h:1"}
			err = id.Found(t.Context(), &stopAfter{Doer: s.remote(), left: left, after: after}, self)
			if err == nil {
				if left < 6 {
					t.Errorf("founded by %d operations", left)
				}
				break
			}
			if !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			if !id.Founding() {
				t.Fatalf("died at operation %d (%v): the authority's key is gone", left, after)
			}
			id, err = cluster.LoadIdentity(dir)
			must(t, err)
			must(t, id.Found(t.Context(), s.remote(), self))
			ca, err := cluster.LoadCA(t.Context(), s.remote())
			must(t, err)
			if ca.Pin() != id.Pin() || id.Founding() {
				t.Fatalf("died at operation %d (%v): other authority, or still founding", left, after)
			}
			reply, err := meta.Do(t.Context(), s.remote(), &meta.ListNodes{})
			must(t, err)
			if len(reply.Map.Nodes) != 1 || reply.Map.Cluster != id.Cluster() {
				t.Fatalf("map %+v", reply.Map)
			}
		}
	}
}

// An init that is cut off after any file can be repeated.
func TestInitCrash(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "identity")
	_, err := cluster.Init(whole)
	must(t, err)
	order := []string{"node.key", "ca.key", "ca.crt"} // node.crt is the last
	for n := range len(order) + 1 {
		dir := t.TempDir()
		for _, name := range order[:n] {
			swap(t, dir, whole, name)
		}
		must(t, os.WriteFile(filepath.Join(dir, "node.crt.new"), []byte("torn"), 0o600))
		if _, err := cluster.LoadIdentity(dir); !errors.Is(err, honeyant.NotExist) {
			t.Fatalf("after %d files: %v", n, err)
		}
		id, err := cluster.Init(dir)
		must(t, err)
		again, err := cluster.LoadIdentity(dir)
		must(t, err)
		if again.Pin() != id.Pin() || !again.Founding() {
			t.Errorf("after %d files: another identity", n)
		}
		must(t, again.Found(t.Context(), newMetadata().remote(), cluster.Member{Name: "one", Address: "h:1"}))
	}
}

// The cluster's authority can not be replaced by another one.
func TestSaveCATwice(t *testing.T) {
	s := newMetadata()
	ca, err := cluster.CreateCA(cluster.NewClusterID())
	must(t, err)
	if _, err := cluster.LoadCA(t.Context(), s.remote()); !errors.Is(err, honeyant.NotExist) {
		t.Errorf("before: %v", err)
	}
	must(t, ca.Save(t.Context(), s.remote()))
	must(t, ca.Save(t.Context(), s.remote()))
	other, err := cluster.CreateCA(ca.Cluster())
	must(t, err)
	if err := other.Save(t.Context(), s.remote()); !errors.Is(err, honeyant.Exist) {
		t.Errorf("another authority: %v", err)
	}
	if _, err := cluster.CreateCA("x"); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("bad cluster ID: %v", err)
	}
	cert, key, err := ca.MarshalPEM()
	must(t, err)
	_, otherKey, err := other.MarshalPEM()
	must(t, err)
	for name, parts := range map[string][2][]byte{"no PEM": {[]byte("x"), key}, "no key": {cert, cert}, "another key": {cert, otherKey}} {
		if _, err := cluster.ParseCA(parts[0], parts[1]); !errors.Is(err, honeyant.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A removed machine can not come back with its old key, nor can it use its old certificate.
func TestRemovedMachineDoesNotRejoin(t *testing.T) {
	s, one, _ := found(t)
	dir := t.TempDir()
	tok := token(t, s, one.id, cluster.TokenOptions{})
	_, _, err := join(t, dir, one.addr, tok, nil)
	must(t, err)
	_, err = meta.Do(t.Context(), s.remote(), &meta.RemoveNode{ID: 2})
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, "node.crt")))
	if _, _, err = join(t, dir, one.addr, tok, nil); !errors.Is(err, honeyant.Permission) {
		t.Errorf("rejoin with the old key: %v", err)
	}
	id, _, err := join(t, t.TempDir(), one.addr, tok, nil)
	must(t, err)
	if id.Self() != 3 {
		t.Errorf("with a new directory: %v, want a new node", id.Self())
	}
	list, err := meta.Do(t.Context(), s.remote(), &meta.ListTokens{})
	must(t, err)
	if len(list.Tokens) != 1 || list.Tokens[0].Left != cluster.Unlimited {
		t.Errorf("tokens %+v", list.Tokens)
	}
}
