package uring

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where there are more threads to run than CPUs, one that leads is set aside in the middle of an answer that waits for nobody. That
// says nothing about the request, and nobody else would be quicker: it is still the one to answer on the spot.

// sleeps counts how often the calling thread has given up its CPU to wait for something (getrusage(2), RUSAGE_THREAD); 0 if that can
// not be told.
func sleeps() int64 {
	var u unix.Rusage
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_THREAD, uintptr(unsafe.Pointer(&u)), 0); errno != 0 {
		return 0
	}
	return u.Nvcsw
}

// runs tells whether a thread of this process has work to do, on a CPU or waiting for one (proc_pid_stat(5)); false if that can not
// be told.
func runs(tid int32) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
	if err != nil {
		return false
	}
	_, after, ok := bytes.Cut(stat, []byte(") ")) // what stands in the brackets is "honeyant"
	return ok && len(after) > 0 && after[0] == 'R'
}
