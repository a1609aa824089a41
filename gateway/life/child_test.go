package life

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// playParent starts a child that ignores everything that can be ignored, says its number, and waits to be killed.
func playParent() {
	c, err := StartChild(exec.Command("sh", "-c", "trap '' TERM INT HUP; while :; do sleep 60; done"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.PID)
	select {}
}

func TestAChildEndsWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LIFE_PART=hold")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q", line)
	}
	child, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	h, err := child.Hold()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := cmd.Process.Kill(); err != nil { // KILL: the parent can not clean up
		t.Fatal(err)
	}
	cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.Wait(ctx); err != nil {
		t.Errorf("the child outlives its parent: %v", err)
	}
}

func TestADeafChildIsStoppedWithAllItStarted(t *testing.T) {
	c, err := StartChild(exec.Command("sh", "-c", "trap '' TERM; sleep 300 & sleep 300 & wait; wait"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Err() != nil {
		t.Errorf("ended with %v", c.Err())
	}
	s, err := c.Stop(t.Context(), []Step{{unix.SIGTERM, 20 * time.Millisecond}, {unix.SIGKILL, 10 * time.Second}}, nil)
	if err != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	<-c.Done()
	if family, err := Family(c.Process); err != nil || len(family) > 0 {
		t.Errorf("left behind: %v, %v", family, err)
	}
}

func TestAChildThatCanNotStartIsAnError(t *testing.T) {
	if _, err := StartChild(exec.Command(filepath.Join(t.TempDir(), "nothing"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
