package cluster_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/cluster"
)

// Rule 33: what is sealed for a node is read by that node alone, of that cluster, and only undamaged.
func TestSealedForOneNode(t *testing.T) {
	ca, err := cluster.CreateCA(cluster.NewClusterID())
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := ca.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(node honeyant.NodeID) *cluster.Identity {
		id, err := ca.Issue(node)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	one, two := issue(1), issue(2)
	pub, err := one.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ca.Seal(pub)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("PRIVATE KEY")) {
		t.Error("it is not sealed")
	}
	if got, err := one.Unseal(sealed); err != nil || !bytes.Equal(got, want) {
		t.Errorf("its own node: %v", err)
	}
	if _, err := two.Unseal(sealed); !errors.Is(err, honeyant.Corrupt) {
		t.Errorf("another node: %v", err)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if _, err := one.Unseal(damaged); !errors.Is(err, honeyant.Corrupt) {
			t.Errorf("damaged at %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, 65, 66, len(sealed) - 1} {
		if _, err := one.Unseal(sealed[:n]); !errors.Is(err, honeyant.Corrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}
