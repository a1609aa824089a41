package life

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone tells that the process meant is no longer there, be its number in use again or not.
var ErrGone = errors.New("the process has ended")

// Process is one process for good: the number alone is used again by later ones.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: field 22 of /proc/PID/stat (proc(5))
}

func (p Process) String() string { return fmt.Sprintf("pid %d (start %d)", p.PID, p.Start) }

// Identify finds out when the process of that number began. ErrGone if there is none.
func Identify(pid int) (Process, error) {
	now, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: now.start}, nil
}

// PIDMax is the number below which the kernel gives process numbers before it begins anew (proc_sys_kernel(5)), 0 if it does
// not say. A number may come again after so many processes, so it alone names nobody.
func PIDMax() int {
	text, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return 0
	}
	return n
}

// Self is the calling process.
func Self() (Process, error) { return Identify(os.Getpid()) }

// stat is what matters here of /proc/PID/stat.
type stat struct {
	parent, group int
	start         uint64
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return stat{}, ErrGone
	}
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads the line of proc(5). The command's name, in brackets, may itself have brackets and
// spaces: what follows the last one counts. A process of which only the exit code is left has ended.
func parseStat(text []byte) (stat, error) {
	const afterName, fieldState, fieldParent, fieldGroup, fieldStart = 3, 3, 4, 5, 22 // numbered as in proc(5)
	_, rest, found := cutLast(text, []byte(") "))
	fields := bytes.Fields(rest)
	if !found || len(fields) <= fieldStart-afterName {
		return stat{}, fmt.Errorf("unreadable process state %q", text)
	}
	if s := fields[fieldState-afterName]; len(s) == 1 && (s[0] == 'Z' || s[0] == 'X') {
		return stat{}, ErrGone
	}
	parent, err1 := strconv.Atoi(string(fields[fieldParent-afterName]))
	group, err2 := strconv.Atoi(string(fields[fieldGroup-afterName]))
	start, err3 := strconv.ParseUint(string(fields[fieldStart-afterName]), 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return stat{}, fmt.Errorf("unreadable process state %q: %w", text, err)
	}
	return stat{parent, group, start}, nil
}

func cutLast(s, sep []byte) (before, after []byte, found bool) {
	i := bytes.LastIndex(s, sep)
	if i < 0 {
		return s, nil, false
	}
	return s[:i], s[i+len(sep):], true
}

// Handle holds on to one process: as long as it is open, signals reach that process or none.
// Methods may be called from several goroutines; Close after all of them.
type Handle struct {
	Process
	fd int
}

// Hold opens a process that was identified before. ErrGone if it has ended, also if its number belongs to another now.
func (p Process) Hold() (*Handle, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("pidfd_open of %s: %w", p, err)
	}
	// The descriptor is of whoever has the number now; only the start tells if it is the one meant.
	now, err := Identify(p.PID)
	if err == nil && now != p {
		err = ErrGone
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &Handle{p, fd}, nil
}

// Signal sends sig, or tells with ErrGone that there is nobody left to take it.
func (h *Handle) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(h.fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("%s to %s: %w", SignalName(sig), h.Process, err)
	}
	return nil
}

// Wait returns nil when the process has ended, or the context's error. A child of ours counts as ended
// when it has died, although nobody has collected its exit code yet.
func (h *Handle) Wait(ctx context.Context) error {
	const slice = 100 * time.Millisecond // how late an ended context is noticed at the worst
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		limit := slice
		if deadline, ok := ctx.Deadline(); ok {
			limit = max(0, min(limit, time.Until(deadline)))
		}
		poll := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(limit.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for %s: %w", h.Process, err)
		}
		if n > 0 {
			return nil
		}
	}
}

// Close lets go of the process, which lives on.
func (h *Handle) Close() error { return unix.Close(h.fd) }

// Family lists the processes that came from p, nearest first, and those of the process group that p leads, although their
// parents, or p itself, have died. It is a moment's picture.
func Family(p Process) ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := map[Process]stat{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if now, err := readStat(pid); err == nil { // else it has ended meanwhile
			all[Process{pid, now.start}] = now
		}
	}
	for q := range all {
		if q.PID == p.PID && q != p { // the number is another's now, and so is the group of that number
			return nil, nil
		}
	}
	var family []Process
	for queue := []int{p.PID}; len(queue) > 0; queue = queue[1:] {
		for q, now := range all {
			if q != p && (now.parent == queue[0] || now.group == p.PID) {
				family = append(family, q)
				queue = append(queue, q.PID)
				delete(all, q)
			}
		}
	}
	return family, nil
}
