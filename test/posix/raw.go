package posix

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mustRaw makes a system call that changes only the calling thread; the wrappers of package
// syscall would change all threads. A failure would let the case run as somebody else.
func mustRaw(trap uintptr, args ...uintptr) {
	var a [3]uintptr
	copy(a[:], args)
	if _, _, errno := unix.RawSyscall(trap, a[0], a[1], a[2]); errno != 0 {
		panic(fmt.Sprintf("system call %d: %v", trap, errno))
	}
}

// setGroups sets the thread's supplementary groups.
func setGroups(groups []int) {
	list := make([]uint32, len(groups)+1)
	for i, g := range groups {
		list[i] = uint32(g)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); errno != 0 {
		panic(fmt.Sprintf("setgroups: %v", errno))
	}
}

// fallocate is fallocate(2), also for what package unix refuses to pass on.
func fallocate(fd int, mode uint32, off, length int64) error {
	return unix.Fallocate(fd, mode, off, length)
}

// fcntlLock takes or gives back a lock of fcntl(2).
func fcntlLock(fd, cmd int, typ int16, start, length int64) error {
	l := unix.Flock_t{Type: typ, Whence: 0, Start: start, Len: length}
	return unix.FcntlFlock(uintptr(fd), cmd, &l)
}

// lockedBy asks F_GETLK and gives the type of the lock in the way, F_UNLCK if there is none.
func lockedBy(fd int, typ int16, start, length int64) (unix.Flock_t, error) {
	l := unix.Flock_t{Type: typ, Whence: 0, Start: start, Len: length}
	err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &l)
	return l, err
}
