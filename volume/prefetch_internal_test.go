package volume

import (
	"testing"

	"github.com/honeyant/honeyant"
)

// What is given to a kernel counts neither as brought nor as used, but for one in judges entries, by which pages are judged.
func TestGivenAwayDoesNotJudge(t *testing.T) {
	h := &habit{}
	w := &walk{habit: h}
	var all []*knownInode
	for n := range 3 * habitMost / judges {
		k := &knownInode{ino: honeyant.Ino(n)}
		w.brought(k, func(k *knownInode) **walk { return &k.walk })
		all = append(all, k)
	}
	h.brought = habitMost / judges / 2 // as halving leaves it, at worst
	left := 0
	for _, k := range all {
		if !k.givenAway() {
			left++
		} else if !k.givenAway() {
			t.Fatal("given once, and refused then")
		}
	}
	if want := len(all) / judges; left != want || w.debt != want {
		t.Errorf("%d entries are left to judge by, and %d owed for, of %d; want %d", left, w.debt, len(all), want)
	}
	if h.brought < 0 {
		t.Errorf("%d entries brought", h.brought)
	}
	if !(*knownInode)(nil).givenAway() {
		t.Error("what no page brought judges nothing, and is not given")
	}
}
