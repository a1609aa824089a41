package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/cluster"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/disk"
	"github.com/honeyant/honeyant/replica"
)

// stores are the chunk stores of this node. A store gets its ID from the cluster, by the key
// in its directory; until then it serves nothing. Safe for concurrent use.
type stores struct {
	log  *slog.Logger
	open []*chunk.Store // in the order of the configuration

	mu   sync.Mutex // guards ids and byID
	ids  map[*chunk.Store]honeyant.StoreID
	byID map[honeyant.StoreID]replica.ChunkStore
}

// openStores opens all configured stores; none stays open if one fails.
func openStores(cfg *config.Config, open func(path string) (disk.FS, error), streams int, log *slog.Logger) (*stores, error) {
	s := &stores{log: log, byID: map[honeyant.StoreID]replica.ChunkStore{}, ids: map[*chunk.Store]honeyant.StoreID{}}
	for _, c := range cfg.Stores {
		fs, err := open(c.Path)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		if sameDisk(cfg.Dir, c.Path) {
			fs = reserved{fs, cfg}
		}
		store, err := chunk.Open(fs, chunk.Options{Capacity: int64(c.Capacity), Streams: max(2, streams/len(cfg.Stores)), Log: log, OnFailing: func(err error) {
			log.Error("a store had an I/O error; it takes no more data and is emptied onto others", "path", c.Path, "error", err)
		}})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("store %s: %w", c.Path, err), s.close())
		}
		s.open = append(s.open, store)
	}
	return s, nil
}

// register learns the stores' IDs from the cluster; it waits for a leader until ctx ends.
func (s *stores) register(ctx context.Context, a *cluster.Agent) error {
	for _, store := range s.open {
		id, err := a.RegisterStore(ctx, store.Key(), store.Usage().Capacity)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.ids[store], s.byID[id] = id, replica.Wrap(store)
		s.mu.Unlock()
		s.log.Info("store serves", "store", id, "chunks", store.Usage().Chunks)
	}
	return nil
}

// Store implements replica.Local.
func (s *stores) Store(id honeyant.StoreID) (replica.ChunkStore, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	store, ok := s.byID[id]
	return store, ok
}

// raise makes all stores refuse commands of older incarnations (rule 4).
func (s *stores) raise(incarnation uint32) error {
	var faults []error
	for _, store := range s.open {
		if store.Incarnation() < incarnation {
			faults = append(faults, store.RaiseIncarnation(incarnation))
		}
	}
	return errors.Join(faults...)
}

// usage is what the heartbeats carry.
func (s *stores) usage() []cluster.StoreUsage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []cluster.StoreUsage
	for store, id := range s.ids {
		u := store.Usage()
		list = append(list, cluster.StoreUsage{ID: id, Capacity: u.Capacity, Used: u.Used, Available: u.Available, Failing: u.Failing})
	}
	return list
}

// memory is how many bytes the indexes hold.
func (s *stores) memory() (bytes int64) {
	for _, store := range s.open {
		bytes += store.Usage().MemoryBytes
	}
	return bytes
}

func (s *stores) close() error {
	var faults []error
	for _, store := range s.open {
		faults = append(faults, store.Close())
	}
	return errors.Join(faults...)
}
