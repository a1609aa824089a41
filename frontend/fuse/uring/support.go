package uring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Parameter is the kernel's switch for FUSE over io_uring, "Y" or "N".
const Parameter = "/sys/module/fuse/parameters/enable_uring"

// State is what stands between this machine and FUSE over io_uring.
type State struct {
	Kernel bool  // the kernel can
	Switch bool  // Parameter is on
	Rings  error // why no io_uring can be made; nil if it can
}

// Look tells the state.
func Look() State {
	raw, err := os.ReadFile(Parameter)
	return State{Kernel: err == nil, Switch: strings.TrimSpace(string(raw)) == "Y", Rings: tryRing()}
}

// SwitchOn turns the parameter on, for the whole machine until it restarts. It has no effect on other file systems,
// but that they are offered io_uring and can decline.
func SwitchOn() error {
	if err := os.WriteFile(Parameter, []byte("Y"), 0); err != nil {
		return fmt.Errorf("turning on FUSE over io_uring: %w", err)
	}
	return nil
}

// tryRing makes a ring and throws it away.
func tryRing() error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // a ring belongs to the thread that made it, which ends here
		r, err := newRing(1)
		if err == nil {
			r.close()
		}
		result <- err
	}()
	err := <-result
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: forbidden on this machine: kernel.io_uring_disabled must be 0, or a container's seccomp profile allow io_uring", err)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: this kernel has no io_uring, or a container's seccomp profile hides it", err)
	}
	return err
}
