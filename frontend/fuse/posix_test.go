package fuse_test

import (
	"os"
	"testing"

	"github.com/honeyant/honeyant/test/posix"
)

// TestPosixOnMount runs the conformance suite on a real mount.
func TestPosixOnMount(t *testing.T) {
	d := serve(t, 1)
	posix.Run(t, d.paths[0], posix.Options{OtherDir: "/dev/shm", Only: os.Getenv("HONEYANT_POSIX_ONLY"), Differs: posix.OnHoneyant()})
}
