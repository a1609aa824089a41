package fuse_test

import (
	"os"
	"testing"

	"github.com/honeyant/honeyant/test/posix"
)

// TestPosixOnMount runs the conformance suite on a real mount.
func TestPosixOnMount(t *testing.T) {
	d := serve(t, 1)
	posix.Run(t, d.paths[0], posix.Options{OtherDir: "/dev/shm", Only: os.Getenv("HONEYANT_POSIX_ONLY"), Differs: differs()})
}

// differs are the known differences, each with its reason.
func differs() map[string]string {
	return map[string]string{
		"mkdir/a removed directory has no links": "a removed directory is gone even while a descriptor is open: fstat is ESTALE",
		"mkdir/in a removed directory":           "for the same reason: ESTALE instead of ENOENT; ESTALE must stay, it makes the kernel walk a path again that was renamed over",
	}
}
