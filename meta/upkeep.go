package meta

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// watchSessions closes sessions that have been silent for too long, and cleans up after those that ended
// with more than one step can drop.
func (t *tenure) watchSessions() {
	tick := time.NewTicker(t.tickEvery())
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case id := <-t.dead:
			t.closeSession(id)
		case <-tick.C:
			if t.stalled() {
				t.l.o.Log.Warn("this leader stood still: sessions get a full TTL", "ttl", t.l.o.SessionTTL)
				t.sessions.pardon()
			}
			t.ticked.Store(int64(time.Since(t.sessions.born)))
			for _, s := range t.sessions.list() {
				if silence := t.sessions.silence(s); silence > t.l.o.DeadAfter {
					t.l.o.Log.Warn("session closed after long silence", "session", s.id, "node", s.node, "name", s.name, "silence", silence)
					t.closeSession(s.id)
				}
			}
		}
	}
}

func (t *tenure) tickEvery() time.Duration { return min(time.Second, t.l.o.SessionTTL/4) }

// stalled tells whether this process has stood still: then what sessions said meanwhile may be unread, and
// their silence says nothing about them.
func (t *tenure) stalled() bool {
	return time.Since(t.sessions.born)-time.Duration(t.ticked.Load()) > 3*t.tickEvery()
}

// closeSession can only fail when the tenure ends; the next one finds the session again.
func (t *tenure) closeSession(id honeyant.SessionID) {
	if _, err := t.do(t.ctx, &Call{Op: &CloseSession{Session: id}}); err != nil && t.ctx.Err() == nil {
		t.l.o.Log.Error("session can not be closed", "session", id, "err", err)
	}
}

func (t *tenure) wakeReaper() {
	select {
	case t.reaper <- struct{}{}:
	default:
	}
}

// reapSlice is how many steps one Reap takes: about a batch.
const reapSlice = 500

// reap deletes orphans and frees queued data while there are any, and moves policies down.
func (t *tenure) reap() {
	tick := time.NewTicker(30 * time.Second) // in case a step failed
	defer tick.Stop()
	t.wakeReaper()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.reaper:
		case <-tick.C:
		}
		if err := t.reapAll(); err != nil && t.ctx.Err() == nil && !errors.Is(err, honeyant.Unsupported) {
			t.l.o.Log.Error("deleted data can not be freed", "err", err)
		}
		if err := t.retagAll(); err != nil && t.ctx.Err() == nil {
			t.l.o.Log.Error("policies can not be moved down", "err", err)
		}
	}
}

func (t *tenure) reapAll() error {
	var volumes []honeyant.VolumeID
	prefix := []byte{tabVolume}
	err := t.l.state.View().Scan(prefix, kv.PrefixEnd(prefix), func(k, _ []byte) bool {
		if len(k) == 5 {
			volumes = append(volumes, honeyant.VolumeID(binary.BigEndian.Uint32(k[1:])))
		}
		return true
	})
	for _, v := range volumes {
		for left := err == nil && t.ctx.Err() == nil; left; {
			var reply Reply
			if reply, err = t.do(t.ctx, &Call{Op: &Reap{Volume: v, Limit: reapSlice}}); err != nil {
				return err
			}
			r, ok := reply.(*ReapReply)
			left = ok && r.Left
		}
	}
	return err
}

// retagAll moves policies down that were set and are not yet everywhere below. A tree that can not be gone
// through is given up: its chunks keep the policy they have, and setting the policy again tries again.
func (t *tenure) retagAll() error {
	for t.ctx.Err() == nil {
		job, ok, err := nextRetag(newTx(t.l.state.View(), Env{}))
		if err != nil || !ok {
			return err
		}
		reply, err := t.do(t.ctx, &Call{Op: job})
		if r, ok := reply.(*RetagReply); err == nil && ok && len(r.Next) == 0 {
			t.l.retags.Add(1)
		}
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, honeyant.NotLeader) || errors.Is(err, honeyant.Unavailable) {
				return err
			}
			t.l.o.Log.Error("a policy can not be moved down", "inode", job.Ino, "err", err)
			if _, err := t.do(t.ctx, &Call{Op: &Retag{Volume: job.Volume, Ino: job.Ino, After: job.After, GiveUp: true}}); err != nil {
				return err
			}
		}
	}
	return nil
}
