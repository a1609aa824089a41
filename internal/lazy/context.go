// Package lazy has contexts that cost next to nothing while nobody waits for their end: most calls of a file system are answered from
// memory, and a timer and a place among a parent's children for each of them took a tenth of the time.
package lazy

import (
	"context"
	"sync"
	"time"
)

// Context is a context.Context whose channel, timer and registration with its parent are made when Done is called first. It ends with its
// parent, when its time is up, and by End. Safe for concurrent use.
type Context struct {
	parent context.Context
	until  time.Time // zero: no limit of its own
	cause  error     // of the end of its time, for context.Cause once Done was called; until then that is context.DeadlineExceeded

	mu     sync.Mutex // guards what follows
	real   context.Context
	cancel context.CancelFunc
	ended  bool
}

// New makes a context without a limit of its own.
func New(parent context.Context) *Context {
	c := new(Context)
	c.Begin(parent)
	return c
}

// Begin is New for a Context that is part of something.
func (c *Context) Begin(parent context.Context) { c.parent = parent }

// WithTimeoutCause makes one that ends after d, with a cause.
func WithTimeoutCause(parent context.Context, d time.Duration, cause error) *Context {
	until := time.Now().Add(d)
	if before, ok := parent.Deadline(); ok && before.Before(until) {
		until = before
	}
	return &Context{parent: parent, until: until, cause: cause}
}

// End ends it. Call it when nobody needs it any more; twice is harmless.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements context.Context.
func (c *Context) Deadline() (time.Time, bool) {
	if c.until.IsZero() {
		return c.parent.Deadline()
	}
	return c.until, true
}

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		if c.until.IsZero() {
			c.real, c.cancel = context.WithCancel(c.parent)
		} else {
			c.real, c.cancel = context.WithDeadlineCause(c.parent, c.until, c.cause)
		}
		if c.ended {
			c.cancel()
		}
	}
	return c.real.Done()
}

// made is the real context, nil if nobody has waited yet.
func (c *Context) made() (real context.Context, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.real, c.ended
}

// Err implements context.Context.
func (c *Context) Err() error {
	real, ended := c.made()
	switch {
	case real != nil:
		return real.Err()
	case ended:
		return context.Canceled
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if !c.until.IsZero() && !time.Now().Before(c.until) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Children and context.Cause find the real context by it.
func (c *Context) Value(key any) any {
	if real, _ := c.made(); real != nil {
		return real.Value(key)
	}
	return c.parent.Value(key)
}
