package fuse_test

import (
	"testing"
	"time"

	"github.com/honeyant/honeyant/test/fsx"
)

// TestFSXOnMount does random I/O on one mount.
func TestFSXOnMount(t *testing.T) {
	d := serve(t, 1)
	fsx.Run(t, d.paths, fsx.Options{Seed: uint64(time.Now().UnixNano()), Ops: 1500})
}

// TestFSXOnTwoMounts changes between two clients by close and open (promise 1).
func TestFSXOnTwoMounts(t *testing.T) {
	d := serve(t, 2)
	fsx.Run(t, d.paths, fsx.Options{Seed: uint64(time.Now().UnixNano()), Ops: 1500})
}
