package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/frontend/fuse/uring"
)

func TestDoctorTellsTheTransport(t *testing.T) {
	for name, c := range map[string]struct {
		state uring.State
		root  bool
		level Level
		says  string
		mend  string
	}{
		"an old kernel":   {uring.State{}, true, Note, "over /dev/fuse: this kernel has no", ""},
		"forbidden":       {uring.State{Kernel: true, Rings: errors.New("EPERM")}, true, Note, "over /dev/fuse: EPERM", "kernel.io_uring_disabled"},
		"off, as a user":  {uring.State{Kernel: true}, false, Note, "unless the daemon runs as root", "as root"},
		"off, as root":    {uring.State{Kernel: true}, true, Good, "turns that on", "modprobe.d"},
		"on":              {uring.State{Kernel: true, Switch: true}, true, Good, "over io_uring", ""},
		"on, seen by any": {uring.State{Kernel: true, Switch: true}, false, Good, "over io_uring", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := checkTransport(c.state, c.root)
			if f.Level != c.level || !strings.Contains(f.Text, c.says) || !strings.Contains(f.Mend, c.mend) || c.mend == "" && f.Mend != "" {
				t.Errorf("got %+v", f)
			}
		})
	}
}
