package node_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/node"
)

func TestParsePolicy(t *testing.T) {
	for _, c := range []struct {
		words string
		want  honeyant.Policy
	}{
		{"copies=3", honeyant.Policy{Copies: 3}},
		{"copies=auto placement=local", honeyant.Policy{Placement: honeyant.PlaceLocal}},
		{"copies=2 min_copies=1 placement=pinned:s1,s7", honeyant.Policy{Copies: 2, MinCopies: 1, Placement: honeyant.PlacePinned, Pinned: []honeyant.StoreID{1, 7}}},
		{"placement=spread", honeyant.Policy{}},
	} {
		got, err := node.ParsePolicy(strings.Fields(c.words))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.words, got, err, c.want)
		}
	}
}

func TestParsePolicyNamesEveryFault(t *testing.T) {
	_, err := node.ParsePolicy([]string{"copies=9", "placement=pinned:", "tier=x", "nonsense", "min_copies=0"})
	if !errors.Is(err, honeyant.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"copies: \"9\"", "placement:", "tier: unknown", "nonsense", "min_copies: \"0\""} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
