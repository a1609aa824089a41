package colony

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/volume/fileapi"
)

// Times of locks.
const (
	lockTTL   = 30 * time.Second // how long a lock lives without being renewed
	lockRenew = lockTTL / 3
	lockPoll  = time.Second // how often a lock that somebody holds is asked for
)

// Storage keeps certificates in a directory of a volume (certmagic.Storage). Its locks hold
// over the whole colony. Made by NewStorage; Close ends the renewing of locks.
type Storage struct {
	client *fileapi.Client
	root   string
	owner  string
	log    *slog.Logger

	mu     sync.Mutex
	locked map[string]*renewal
	closed bool
}

// renewal keeps a lock.
type renewal struct {
	stop context.CancelFunc
	done chan struct{}
}

// NewStorage is for the directory root of a volume.
func NewStorage(client *fileapi.Client, root string, log *slog.Logger) *Storage {
	return &Storage{client: client, root: root, owner: rand.Text(), log: log, locked: map[string]*renewal{}}
}

func (s *Storage) path(key string) string     { return path.Join("/", s.root, path.Clean("/"+key)) }
func (s *Storage) lockPath(key string) string { return s.path("locks/" + safe(key) + ".lock") }

// safe makes one file name of a key.
func safe(key string) string {
	return strings.NewReplacer("/", "_", "*", "wildcard_", ":", "-").Replace(key)
}

// Store writes a value whole; on return it is on stable storage.
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	_, err := s.client.Write(ctx, s.path(key), value)
	return s.fault(key, err)
}

// Load reads a value.
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	for tries := 0; ; tries++ {
		value, err := s.load(ctx, key)
		if errors.Is(err, honeyant.Stale) && tries < 3 { // replaced meanwhile: read the new one
			continue
		}
		return value, s.fault(key, err)
	}
}

func (s *Storage) load(ctx context.Context, key string) ([]byte, error) {
	stat, err := s.client.Stat(ctx, s.path(key))
	if err != nil {
		return nil, err
	}
	r, err := s.client.Read(ctx, s.path(key), stat.Version, 0, stat.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Delete removes a key and all below it.
func (s *Storage) Delete(ctx context.Context, key string) error {
	return s.fault(key, s.client.Remove(ctx, s.path(key)))
}

// Exists tells whether there is such a key; an error counts as no.
func (s *Storage) Exists(ctx context.Context, key string) bool {
	_, err := s.client.Stat(ctx, s.path(key))
	return s.fault(key, err) == nil
}

// List answers the keys below a prefix.
func (s *Storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	var keys []string
	for cookie := uint64(0); ; {
		p, err := s.client.List(ctx, s.path(prefix), cookie, pageSize)
		if err != nil {
			return nil, s.fault(prefix, err)
		}
		for _, e := range p.Entries {
			if strings.HasPrefix(e.Name, ".") {
				continue // being written
			}
			key := path.Join(prefix, e.Name)
			keys = append(keys, key)
			if recursive && (info{e}).IsDir() {
				below, err := s.List(ctx, key, true)
				if err != nil {
					return nil, err
				}
				keys = append(keys, below...)
			}
		}
		if cookie = p.Cookie; cookie == 0 {
			return keys, nil
		}
	}
}

// Stat tells what is known of a key.
func (s *Storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	stat, err := s.client.Stat(ctx, s.path(key))
	if err != nil {
		return certmagic.KeyInfo{}, s.fault(key, err)
	}
	i := info{stat}
	return certmagic.KeyInfo{Key: key, Modified: i.ModTime(), Size: i.Size(), IsTerminal: !i.IsDir()}, nil
}

// Lock waits for the lock of a name until the context ends, and keeps it until Unlock.
func (s *Storage) Lock(ctx context.Context, name string) error {
	owner := s.owner + "/" + name
	for said := false; ; {
		granted, err := s.take(ctx, name, owner)
		if err != nil {
			return s.fault(name, err)
		}
		if granted {
			return nil
		}
		if !said {
			s.log.Info("waiting for a lock that another gateway holds", "code", string(code.StorageLocked), "name", name)
			said = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// take asks once for a lock that this process does not hold already.
func (s *Storage) take(ctx context.Context, name, owner string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errors.New("the storage is closed")
	}
	if s.locked[name] != nil {
		return false, nil
	}
	granted, err := s.client.Lock(ctx, s.lockPath(name), owner, lockTTL)
	if err != nil || !granted {
		return false, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &renewal{stop: stop, done: make(chan struct{})}
	s.locked[name] = r
	go s.renew(ctx, r, name, owner)
	return true, nil
}

// renew keeps a lock alive.
func (s *Storage) renew(ctx context.Context, r *renewal, name, owner string) {
	defer close(r.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lockRenew):
		}
		granted, err := s.client.Lock(ctx, s.lockPath(name), owner, lockTTL)
		if err == nil && !granted {
			s.log.Warn("a lock ran out and was taken by another gateway", "code", string(code.StorageStolen), "name", name)
			return
		}
	}
}

// Unlock gives a lock back.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	r := s.locked[name]
	delete(s.locked, name)
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("the lock %s is not held", name)
	}
	r.stop()
	<-r.done
	return s.fault(name, s.client.Unlock(ctx, s.lockPath(name), s.owner+"/"+name))
}

// Close ends the renewing of locks; they run out by themselves.
func (s *Storage) Close() error {
	s.mu.Lock()
	s.closed = true
	all := s.locked
	s.locked = map[string]*renewal{}
	s.mu.Unlock()
	for _, r := range all {
		r.stop()
		<-r.done
	}
	return s.client.Close()
}

// fault logs what is no answer of the volume, and translates the rest.
func (s *Storage) fault(key string, err error) error {
	if err == nil {
		return nil
	}
	if t := translate(err); errors.Is(t, fs.ErrNotExist) {
		return t
	}
	id := code.ColonyError
	if errors.Is(err, honeyant.Unavailable) {
		id = code.ColonyDown
	}
	if errors.Is(err, context.DeadlineExceeded) {
		id = code.ColonySlow
	}
	s.log.Error("the certificate storage in the colony", "code", string(id), "key", key, "error", err.Error())
	return err
}

var (
	_ certmagic.Storage = (*Storage)(nil)
	_ certmagic.Locker  = (*Storage)(nil)
)
