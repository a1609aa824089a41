package life

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readyFD is the variable that names the descriptor on which a successor says that it serves.
const readyFD = "HONEYANT_GATEWAY_READY_FD"

const readyWord = "ready\n"

// Successor says what is to take over.
type Successor struct {
	Path    string        // the program
	Args    []string      // without the program's name
	Limit   time.Duration // how long it may take until it serves
	Steps   []Step        // how it is ended if it does not
	Output  *os.File      // for its standard output and error
	Environ []string      // nil: this process's
}

// HandOver starts the successor with the same listening sockets and waits until it says that it serves. While both run,
// the kernel gives each new connection to one of them. If the successor ends or is not ready in time it is ended with
// all that it started, the error says why, and this process serves on as if nothing had been.
func (s *Sockets) HandOver(ctx context.Context, next Successor) (Process, error) {
	files, variable, err := s.passOn()
	if err != nil {
		return Process{}, err
	}
	defer closeAll(files)
	ready, told, err := os.Pipe()
	if err != nil {
		return Process{}, err
	}
	defer ready.Close()
	cmd := exec.Command(next.Path, next.Args...)
	cmd.ExtraFiles = append(files, told)
	cmd.Stdout, cmd.Stderr = next.Output, next.Output
	environ := next.Environ
	if environ == nil {
		environ = os.Environ()
	}
	cmd.Env = append(environ, variable, readyFD+"="+strconv.Itoa(firstPassed+len(files)))
	// A group of its own, so that all it starts can be ended; no death signal, since it is to outlive this process.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := errors.Join(cmd.Start(), told.Close()); err != nil {
		return Process{}, fmt.Errorf("starting the successor %s: %w", next.Path, err)
	}
	p, err := Identify(cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the successor; a successor that serves outlives this process
	if err == nil {
		err = awaitReady(ctx, ready, ended, next.Limit)
	}
	if err == nil {
		return p, nil
	}
	if p.PID != 0 {
		_, stopErr := Stop(context.WithoutCancel(ctx), p, next.Steps, nil)
		err = errors.Join(err, stopErr)
	}
	return Process{}, fmt.Errorf("the successor %s does not take over, this process serves on: %w", next.Path, err)
}

func awaitReady(ctx context.Context, ready *os.File, ended <-chan error, limit time.Duration) error {
	if err := ready.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) }) // the pipe can do deadlines, or the first call had failed
	defer stop()
	word := make([]byte, len(readyWord))
	n, err := io.ReadFull(ready, word)
	switch {
	case err == nil && string(word) == readyWord:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("not ready after %s", limit)
	case err == nil || n > 0:
		return fmt.Errorf("it said %q instead of being ready", strings.TrimSpace(string(word[:n])))
	}
	select { // it closed the pipe: most likely it has ended, and with a reason
	case err := <-ended:
		return fmt.Errorf("it ended: %v (its log says why)", err)
	case <-time.After(time.Second):
		return errors.New("it closed the line to its predecessor without being ready")
	}
}

// HasPredecessor tells if this process was started by HandOver.
func HasPredecessor() bool {
	_, ok := os.LookupEnv(readyFD)
	return ok
}

// TellReady tells the predecessor, if there is one, that this process serves. hadOne is false if there is none.
func TellReady() (hadOne bool, err error) {
	text, ok := os.LookupEnv(readyFD)
	if !ok {
		return false, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return true, fmt.Errorf("%s=%q is no descriptor", readyFD, text)
	}
	f := os.NewFile(uintptr(fd), "predecessor")
	if f == nil {
		return true, fmt.Errorf("%s=%q is no descriptor", readyFD, text)
	}
	_, err = io.WriteString(f, readyWord)
	return true, errors.Join(err, f.Close(), os.Unsetenv(readyFD))
}
