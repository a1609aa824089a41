package fuse_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/honeyant/honeyant/test/fsx"
)

// options of a run: HONEYANT_FSX_OPS and _SIZE make it longer, HONEYANT_FSX_SEED repeats one.
func options() fsx.Options {
	o := fsx.Options{Seed: uint64(time.Now().UnixNano()), Ops: 1500}
	if n, err := strconv.Atoi(os.Getenv("HONEYANT_FSX_OPS")); err == nil {
		o.Ops = n
	}
	if n, err := strconv.ParseUint(os.Getenv("HONEYANT_FSX_SEED"), 10, 64); err == nil {
		o.Seed = n
	}
	if n, err := strconv.ParseInt(os.Getenv("HONEYANT_FSX_SIZE"), 10, 64); err == nil {
		o.MaxSize = n
	}
	return o
}

// TestFSXOnMount does random I/O on one mount.
func TestFSXOnMount(t *testing.T) {
	d := serve(t, 1)
	fsx.Run(t, d.paths, options())
}

// TestFSXOnTwoMounts changes between two clients by close and open (promise 1).
func TestFSXOnTwoMounts(t *testing.T) {
	d := serve(t, 2)
	fsx.Run(t, d.paths, options())
}
