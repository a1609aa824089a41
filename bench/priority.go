package bench

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The low priorities of a gentle run: nice(1) and ionice(1) numbers.
const (
	gentleNice = 10
	// gentleIO is the lowest level of the best-effort class: ioprio_set(2).
	gentleIO         = 2<<13 | 7
	ioprioWhoProcess = 1
)

// yieldToOthers lowers the priority of every thread of this process; later threads and
// children inherit it.
func yieldToOthers() error {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var faults []error
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, tid, gentleNice); err != nil && !errors.Is(err, syscall.ESRCH) {
			faults = append(faults, err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(tid), gentleIO); errno != 0 && errno != unix.ESRCH {
			faults = append(faults, errno)
		}
	}
	return errors.Join(faults...)
}
