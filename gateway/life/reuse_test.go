package life

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A number that the kernel really gives to another process, in a namespace of process numbers where the next one
// can be chosen: the bystander is neither held nor signalled.
func TestANumberThatIsUsedAgainIsNotSignalled(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a namespace of process numbers needs root")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LIFE_PART=reuse")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("no namespaces here")
	}
	if err != nil || string(out) != "up\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// playReuse is the first process of the namespace.
func playReuse() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc of its own: %w", err)
	}
	first := exec.Command("sleep", "60")
	if err := first.Start(); err != nil {
		return err
	}
	old, err := Identify(first.Process.Pid)
	if err != nil {
		return err
	}
	if err := first.Process.Kill(); err != nil {
		return err
	}
	first.Wait()
	<-time.After(30 * time.Millisecond) // the start counts in ticks of 10 ms
	for range 500 {
		// A thread of this program may take the number first.
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(old.PID-1)), 0); err != nil {
			return err
		}
		again := exec.Command("sleep", "60")
		if err := again.Start(); err != nil {
			return err
		}
		if again.Process.Pid != old.PID {
			again.Process.Kill()
			again.Wait()
			continue
		}
		return bystander(old)
	}
	return fmt.Errorf("number %d did not come again", old.PID)
}

func bystander(old Process) error {
	now, err := Identify(old.PID)
	if err != nil {
		return err
	}
	if now == old {
		return fmt.Errorf("%s is taken for the one before", now)
	}
	if _, err := old.Hold(); !errors.Is(err, ErrGone) {
		return fmt.Errorf("held the bystander: %w", err)
	}
	if s, err := Stop(context.Background(), old, DefaultSteps(), nil); err != nil || s.By != "" {
		return fmt.Errorf("stopped by %q: %w", s.By, err)
	}
	if still, err := Identify(old.PID); err != nil || still != now {
		return fmt.Errorf("the bystander was hit: %v, %w", still, err)
	}
	return nil
}
