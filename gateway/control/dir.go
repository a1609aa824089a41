package control

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/honeyant/honeyant/gateway/life"
)

// Dir is the directory of the control sockets.
type Dir string

const current = "current"

// DefaultDir is where the control sockets are if nobody says otherwise: what systemd made for the service, or a directory of the user.
func DefaultDir(getenv func(string) string) Dir {
	switch {
	case getenv("HONEYANT_GATEWAY_DIR") != "":
		return Dir(getenv("HONEYANT_GATEWAY_DIR"))
	case os.Geteuid() == 0:
		return "/run/honeyant-gateway"
	case getenv("XDG_RUNTIME_DIR") != "":
		return Dir(filepath.Join(getenv("XDG_RUNTIME_DIR"), "honeyant-gateway"))
	}
	return Dir(filepath.Join(os.TempDir(), fmt.Sprintf("honeyant-gateway-%d", os.Geteuid())))
}

func socketName(p life.Process) string { return fmt.Sprintf("%d-%d.sock", p.PID, p.Start) }

func parseSocketName(name string) (life.Process, bool) {
	pid, start, ok := strings.Cut(strings.TrimSuffix(name, ".sock"), "-")
	if !ok || !strings.HasSuffix(name, ".sock") {
		return life.Process{}, false
	}
	number, err1 := strconv.Atoi(pid)
	ticks, err2 := strconv.ParseUint(start, 10, 64)
	return life.Process{PID: number, Start: ticks}, err1 == nil && err2 == nil && number > 0
}

// Listen makes this process's socket, with mode 0600 in a directory of mode 0700.
func (d Dir) Listen(self life.Process) (net.Listener, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(string(d), socketName(self))
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// Bound inside a directory that nobody else may enter, then restricted, then moved: it is at no moment open to others.
	private, err := os.MkdirTemp(string(d), ".new-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(private)
	hidden := filepath.Join(private, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln.SetUnlinkOnClose(false) // it has another name by then; Forget removes it
	if err := errors.Join(os.Chmod(hidden, 0o600), os.Rename(hidden, path)); err != nil {
		return nil, errors.Join(err, ln.Close(), os.Remove(hidden))
	}
	return ln, nil
}

// MakeCurrent lets the symlink name this process, at once and whole.
func (d Dir) MakeCurrent(self life.Process) error {
	next := filepath.Join(string(d), fmt.Sprintf(".current-%d", self.PID))
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(socketName(self), next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(string(d), current))
}

// Forget removes this process's socket, and the symlink if it still names it.
func (d Dir) Forget(self life.Process) error {
	link := filepath.Join(string(d), current)
	var errs []error
	if to, err := os.Readlink(link); err == nil && to == socketName(self) {
		errs = append(errs, os.Remove(link))
	}
	err := os.Remove(filepath.Join(string(d), socketName(self)))
	if !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Instance is a gateway process that has a socket.
type Instance struct {
	life.Process
	Current bool
	path    string
}

// ErrNone tells that no gateway runs.
var ErrNone = errors.New("no gateway runs here")

// Instances lists the processes that are alive, the current one first, and removes sockets that dead ones left. ErrNone if there is none.
func (d Dir) Instances() ([]Instance, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control sockets in %s: %w", d, err)
	}
	to, _ := os.Readlink(filepath.Join(string(d), current)) // none: no process is the current one
	var all []Instance
	for _, e := range entries {
		p, ok := parseSocketName(e.Name())
		if !ok {
			continue
		}
		path := filepath.Join(string(d), e.Name())
		if now, err := life.Identify(p.PID); errors.Is(err, life.ErrGone) || err == nil && now != p {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			continue
		}
		all = append(all, Instance{p, e.Name() == to, path})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w (looked in %s; --control or $HONEYANT_GATEWAY_DIR names another directory)", ErrNone, d)
	}
	slices.SortFunc(all, func(a, b Instance) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Start, a.Start)
	})
	return all, nil
}
