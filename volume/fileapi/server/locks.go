package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"path"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// locks are those that processes of this machine hold: each a flock of the volume, which the
// colony sees, with a TTL, which only this daemon sees. They die with the daemon's session.
type locks struct {
	mu     sync.Mutex
	held   map[string]*held // by path
	closed bool
}

type held struct {
	owner  string
	volume *volume.Volume
	ino    honeyant.Ino
	lock   meta.FileLock
	expire *time.Timer
}

// giveLimit bounds how long giving a lock back may take.
const giveLimit = 10 * time.Second

// take gets or renews a lock for ttl.
func (l *locks) take(ctx context.Context, v *volume.Volume, p, owner string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	h, ok := l.held[p]
	if ok && h.owner == owner && h.expire.Reset(ttl) {
		l.mu.Unlock()
		return true, nil
	}
	l.mu.Unlock()
	if ok && h.owner != owner {
		return false, nil
	}
	ino, err := lockFile(ctx, v, p)
	if err != nil {
		return false, err
	}
	var id [8]byte
	rand.Read(id[:])
	lock := meta.FileLock{Kind: meta.LockFlock, Write: true, Owner: binary.LittleEndian.Uint64(id[:]), PID: 1, End: math.MaxInt64}
	err = v.SetLock(ctx, ino, lock, false)
	if errors.Is(err, honeyant.Conflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h = &held{owner: owner, volume: v, ino: ino, lock: lock}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, honeyant.E("fileapi.lock", honeyant.Unavailable, p, errors.New("the daemon stops"))
	}
	h.expire = time.AfterFunc(ttl, func() { l.drop(p, h) })
	l.held[p] = h
	return true, nil
}

// lockFile answers the file that stands for a lock, making it if need be.
func lockFile(ctx context.Context, v *volume.Volume, p string) (honeyant.Ino, error) {
	dir, err := makeDirs(ctx, v, path.Dir(p))
	if err != nil {
		return 0, err
	}
	a, err := v.Lookup(ctx, dir, path.Base(p))
	if errors.Is(err, honeyant.NotExist) {
		a, err = v.Make(ctx, volume.NewNode{Parent: dir, Name: path.Base(p), Mode: honeyant.ModeFile | 0o600})
		if errors.Is(err, honeyant.Exist) {
			a, err = v.Lookup(ctx, dir, path.Base(p))
		}
	}
	return a.Ino, err
}

// give gives a lock back if owner holds it.
func (l *locks) give(p, owner string) error {
	l.mu.Lock()
	h, ok := l.held[p]
	l.mu.Unlock()
	if !ok || h.owner != owner {
		return nil
	}
	return l.drop(p, h)
}

func (l *locks) drop(p string, h *held) error {
	l.mu.Lock()
	if l.held[p] != h {
		l.mu.Unlock()
		return nil
	}
	delete(l.held, p)
	h.expire.Stop()
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), giveLimit)
	defer cancel()
	return h.volume.Unlock(ctx, h.ino, h.lock)
}

// close gives all back, and takes no more.
func (l *locks) close(ctx context.Context) {
	l.mu.Lock()
	l.closed = true
	all := l.held
	l.held = map[string]*held{}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, giveLimit)
	defer cancel()
	for _, h := range all {
		h.expire.Stop()
		h.volume.Unlock(ctx, h.ino, h.lock) // if it fails it dies with the session
	}
}
