package fuse

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant/internal/lazy"
)

// call is one request under way. It is the context of what is done for it, too.
type call struct {
	lazy.Context
	fs     *FS
	ctx    context.Context // the call itself, or what bounds it further
	end    context.CancelFunc
	cancel <-chan struct{} // closed when the kernel sends INTERRUPT
	thread uint32          // of the program, 0: none of this PID namespace

	waits, over atomic.Bool
}

// begin counts a request and gives it a context. Signals do not end it: a program may get any
// number of signals during an ordinary file call, and EINTR from stat is a bug to it. Only a
// program that is being killed is let go early, by Sweep.
func (fs *FS) begin(cancel <-chan struct{}, h *gofuse.InHeader) *call {
	fs.count(h.Opcode)
	fs.under.Add(1)
	c := &call{fs: fs, cancel: cancel, thread: h.Pid}
	c.Context.Begin(fs.root)
	c.ctx, c.end = c, c.Context.End
	return c
}

// Done implements context.Context. From now on the call may wait, and Sweep looks after it.
func (c *call) Done() <-chan struct{} {
	if !c.waits.Swap(true) {
		c.fs.mu.Lock()
		if !c.over.Load() {
			c.fs.calls[c] = struct{}{}
		}
		c.fs.mu.Unlock()
	}
	return c.Context.Done()
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if _, ok := key.(threadKey); ok {
		return c.thread
	}
	return c.Context.Value(key)
}

type threadKey struct{}

// threadOf is the thread that has made the call with this context, 0: not known.
func threadOf(ctx context.Context) uint32 {
	thread, _ := ctx.Value(threadKey{}).(uint32)
	return thread
}

// done ends a call.
func (c *call) done() {
	c.over.Store(true)
	if c.waits.Load() {
		c.fs.mu.Lock()
		delete(c.fs.calls, c)
		c.fs.mu.Unlock()
	}
	c.fs.under.Add(-1)
	c.end()
}

// interruptible makes the rest of the call end with the first INTERRUPT, as waits for locks do.
// The function it returns ends that and must be called.
func (c *call) interruptible() (stop func()) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-c.cancel:
			c.end()
		case <-c.ctx.Done():
		}
	}()
	return func() {
		c.end()
		<-gone
	}
}

// Sweep ends the requests of programs that are being killed: without it kill -9 of a program
// that waits for an unreachable cluster would take until the volume's deadline. Mount calls it
// every second; another transport has to do the same.
func (fs *FS) Sweep() {
	var interrupted []*call
	fs.mu.Lock()
	for c := range fs.calls {
		select {
		case <-c.cancel:
			interrupted = append(interrupted, c)
		default:
		}
	}
	fs.mu.Unlock()
	for _, c := range interrupted {
		if c.thread != 0 && dying(c.thread) {
			c.end()
		}
	}
}

// dying tells whether SIGKILL is on its way to the thread, or it is gone.
func dying(thread uint32) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return os.IsNotExist(err)
	}
	for _, field := range []string{"\nSigPnd:", "\nShdPnd:"} {
		_, rest, _ := bytes.Cut(raw, []byte(field))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		pending, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
		if err == nil && pending&(1<<(9-1)) != 0 {
			return true
		}
	}
	return false
}
