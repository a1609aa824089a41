package disk

import (
	"path"
	"time"
)

// Op names an operation of FS or File that a Fault can hit.
type Op string

// The operations. OpList and OpSyncDir have the empty name.
const (
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRename   Op = "rename" // by the old name
	OpRemove   Op = "remove"
	OpList     Op = "list"
	OpSyncDir  Op = "syncdir"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpReserve  Op = "reserve"
	OpPunch    Op = "punch"
	OpTruncate Op = "truncate"
)

// Fault is a rule: which calls fail or are slow, and how.
type Fault struct {
	Op      Op
	Pattern string        // of the name, as path.Match; "" matches all
	Nth     int           // only the n-th matching call from now on; 0 = every one
	Err     error         // what it fails with (syscall.EIO, syscall.ENOSPC); nil = it only waits
	Delay   time.Duration // how long it takes before that
}

type faultState struct {
	Fault
	seen int
}

// Inject adds a rule and returns what takes it away again.
func (m *Memory) Inject(f Fault) (remove func()) {
	st := &faultState{Fault: f}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, st)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range m.faults {
			if m.faults[i] == st {
				m.faults = append(m.faults[:i:i], m.faults[i+1:]...)
				return
			}
		}
	}
}

// fault waits and fails as the rules say.
func (m *Memory) fault(op Op, name string) error {
	m.mu.Lock()
	var err error
	var delay time.Duration
	if m.dead {
		err = errPower
	}
	for _, f := range m.faults {
		if f.Op != op {
			continue
		}
		if ok, _ := path.Match(f.Pattern, name); !ok && f.Pattern != "" {
			continue
		}
		f.seen++
		if f.Nth != 0 && f.seen != f.Nth {
			continue
		}
		delay += f.Delay
		if err == nil {
			err = f.Err
		}
	}
	m.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	return err
}
