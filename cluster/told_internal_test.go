package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

// Errors of a join went to strangers as they were, with the members' addresses and states.
func TestJoinTellsStrangersNothing(t *testing.T) {
	secret := "n7 at 10.1.2.3:7268"
	for _, c := range []struct {
		name string
		err  error
		kind honeyant.Kind
		says string
	}{
		{"no leader", &honeyant.Error{Op: "cluster.Ask", Kind: honeyant.Unavailable, Node: 7, Err: errors.New(secret)}, honeyant.Unavailable, "try again"},
		{"a broken disk", fmt.Errorf("open %s: input/output error", secret), honeyant.Unavailable, "try again"},
		{"a conflict elsewhere", honeyant.E("meta.PutSetting", honeyant.Conflict, secret, nil), honeyant.Unavailable, "try again"},
		{"the authority can not be read", honeyant.E("cluster.LoadCA", honeyant.NotExist, secret, nil), honeyant.Unavailable, "try again"},
		{"garbage", honeyant.E("wire.Unmarshal", honeyant.Corrupt, secret, nil), honeyant.Invalid, "understands"},
		{"a bad token", honeyant.E(opJoin, honeyant.Permission, "mine", errors.New("unknown token")), honeyant.Permission, "unknown token"},
		{"a taken address", rpc.DecodeError(rpc.EncodeError(honeyant.E(opJoin, honeyant.Conflict, "mine", errors.New("answers at that address"))), 7), honeyant.Conflict, "answers at that address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := told(c.err)
			if honeyant.KindOf(got) != c.kind || !strings.Contains(got.Error(), c.says) {
				t.Errorf("told %q", got)
			}
			if strings.Contains(got.Error(), "10.1.2.3") || strings.Contains(got.Error(), "n7") {
				t.Errorf("told a stranger %q", got)
			}
		})
	}
}
