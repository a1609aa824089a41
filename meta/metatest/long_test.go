package metatest_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/honeyant/honeyant/meta/metatest"
)

// TestLongHistory runs as many random histories as META_HISTORIES says, for soaking.
func TestLongHistory(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("META_HISTORIES"))
	for range n {
		metatest.Run(t, rand.Uint64(), metatest.NewBare(t, nil).Target(), metatest.Options{Ops: 3000, Every: 500})
	}
}
