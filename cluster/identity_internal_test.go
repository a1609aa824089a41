package cluster

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/honeyant/honeyant"
)

// A certificate that does not belong to the node never takes the place of the one on disk: the node could not start again.
func TestRenewedKeepsAGoodCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	id, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := CreateCA(NewClusterID())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ca.sign(id.key.Public(), id.self)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.renewed(stranger); !errors.Is(err, honeyant.Corrupt) {
		t.Errorf("a stranger's certificate: %v", err)
	}
	if _, err := LoadIdentity(dir); err != nil {
		t.Errorf("the identity after it: %v", err)
	}
}
