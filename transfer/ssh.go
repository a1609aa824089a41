package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc"
)

const (
	// loginTime is the longest wait for a login: a person may have to type a passphrase.
	loginTime = 2 * time.Minute
	// farewell is how long an ssh may take to end after its input was closed.
	farewell = 5 * time.Second
	// greeting is how much a login script may print.
	greeting = 256 << 10
)

// process is an ssh that runs a command on another machine.
type process struct {
	cmd    *exec.Cmd
	in     *os.File // what it prints
	out    *os.File // what it is fed
	stderr *holdback
	exited chan struct{} // closed when it has ended
	err    error         // how, after exited
}

// startSSH runs words with the system's ssh on host; subsystem is sftp's way.
func startSSH(host string, o *Options, subsystem bool, words string) (*process, error) {
	args := append([]string{}, o.SSH[1:]...)
	if filepath.Base(o.SSH[0]) == "ssh" {
		args = append(args, "-T", "-x", "-o", "Compression=no", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "-o", "ConnectTimeout=20")
	}
	if subsystem {
		args = append(args, "-s")
	}
	args = append(args, "--", host, words)
	p := &process{cmd: exec.Command(o.SSH[0], args...), stderr: &holdback{}, exited: make(chan struct{})}
	childIn, out, err := os.Pipe()
	if err != nil {
		return nil, fault("start ssh to", host, err)
	}
	in, childOut, err := os.Pipe()
	if err != nil {
		childIn.Close()
		out.Close()
		return nil, fault("start ssh to", host, err)
	}
	p.in, p.out = in, out
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = childIn, childOut, p.stderr
	p.cmd.WaitDelay = farewell
	err = p.cmd.Start()
	childIn.Close()
	childOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, honeyant.E("start ssh to", honeyant.Unavailable, host, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop closes the input, waits, and kills what does not end by itself.
func (p *process) stop() {
	p.in.Close()
	p.out.Close()
	late := time.NewTimer(farewell)
	defer late.Stop()
	select {
	case <-p.exited:
	case <-late.C:
		_ = p.cmd.Process.Kill() // this very process, which nobody has waited for
		<-p.exited
	}
}

// code is the exit code, -1 if a signal ended it.
func (p *process) code() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// holdback keeps the first that is written, for an error message, and lets the rest go.
type holdback struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *holdback) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.text.Len() < 4096 {
		h.text.Write(b)
	}
	return len(b), nil
}

// last is the last line.
func (h *holdback) last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(h.text.String()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// errNoPeer means that the login works, but there is no honeyant that could answer.
var errNoPeer = errors.New("no honeyant there")

// dialPeer starts a honeyant on host. Errors: errNoPeer, Unavailable.
func dialPeer(ctx context.Context, host string, o *Options) (*pipe, error) {
	p, err := startSSH(host, o, false, o.Remote+" cp --serve")
	if err != nil {
		return nil, err
	}
	conn := newPipe(p.in, p.out, p.stop)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(loginTime)); err != nil {
		conn.Close()
		return nil, fault("connect to", host, err)
	}
	rest, err := awaitHello(conn)
	if err == nil {
		conn.first = rest
		return conn, conn.SetReadDeadline(time.Time{})
	}
	conn.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	code, said := p.code(), p.stderr.last()
	if said != "" {
		err = errors.New(said)
	}
	switch code {
	case 255, -1:
		return nil, honeyant.E("connect to", honeyant.Unavailable, host, err)
	}
	return nil, fmt.Errorf("%w (exit code %d: %s)", errNoPeer, code, said)
}

// awaitHello reads up to the peer's hello and returns what came behind it.
func awaitHello(r io.Reader) ([]byte, error) {
	var seen []byte
	buf := make([]byte, 4096)
	for len(seen) < greeting {
		n, err := r.Read(buf)
		seen = append(seen, buf[:n]...)
		if rest, found := trimHello(string(seen)); found {
			return []byte(rest), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("it prints much, but no hello")
}

// dialHost connects to a machine: to a honeyant there, or by SFTP if there is none.
func dialHost(ctx context.Context, host string, o *Options, t *tally) (end, error) {
	if o.SFTP {
		return dialSFTP(ctx, host, o, t)
	}
	first, err := dialPeer(ctx, host, o)
	if errors.Is(err, errNoPeer) {
		o.Log.Info("no honeyant answers on the other machine", "host", host, "why", err)
		t.note(host, []string{noteSFTPUsed})
		return dialSFTP(ctx, host, o, t)
	}
	if err != nil {
		return nil, err
	}
	conns := []*pipe{first}
	for len(conns) < o.Connections {
		conn, err := dialPeer(ctx, host, o)
		if err != nil {
			o.Log.Warn("no further ssh connection", "host", host, "err", err)
			break
		}
		conns = append(conns, conn)
	}
	return newRemoteEnd(ctx, host, conns, o, t)
}

// connections hands each of a few open connections out once, as node 1, 2, ...: a copy
// that loses one ends, because what was open at the other end is gone.
type connections struct {
	mu    sync.Mutex
	conns []*pipe
}

func (c *connections) Dial(_ context.Context, _ string, node honeyant.NodeID, _ rpc.Proto) (rpc.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := int(node) - 1; i < len(c.conns) && c.conns[i] != nil {
		conn := c.conns[i]
		c.conns[i] = nil
		return conn, nil
	}
	return nil, honeyant.E("connect", honeyant.Unavailable, "", errors.New("the ssh connection is lost"))
}

func (c *connections) Listen(rpc.Proto) rpc.Listener { return nil }
func (c *connections) Addr() string                  { return "" }

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if conn != nil {
			conn.Close()
		}
	}
}
