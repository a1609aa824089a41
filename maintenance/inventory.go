package maintenance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/backup"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/meta"
)

// inventory compares what metadata list with what the stores really hold.
type inventory struct {
	s          *Service
	quarantine map[suspect]time.Time // unknown replicas that may go, since when
	backups    *backup.List          // those of the metadata when the stock was taken; no chunk of them is listed otherwise
}

// suspect is a replica that a store holds and metadata do not list.
type suspect struct {
	store honeyant.StoreID
	id    honeyant.ChunkID
	gen   honeyant.Generation
}

// InventoryState is what the last inventory found.
type InventoryState struct {
	At          time.Time
	Replicas    uint64
	Bytes       uint64
	Missing     uint64   // listed, but not in the store: reported as bad, and replaced
	Unknown     uint64   // in a store, but not listed and not of a running write
	Quarantined uint64   // of these, waiting to be deleted
	Skipped     []string // stores that did not answer
	Refused     string   // why nothing is deleted, if it is too much
}

// More unknown replicas in a store than one in unknownShare, and than unknownFloor, are for a
// person to look at (J4). The floor is for small stores: what a colony that was full leaves behind
// is soon more than a hundredth of them.
const (
	unknownShare = 100
	unknownFloor = 64
)

// expected is what metadata say that a store holds.
type expected struct {
	sums     [chunk.Buckets]uint64
	replicas uint64
	bytes    uint64
}

func (v *inventory) step(ctx context.Context, p *worker.Pace) (bool, error) {
	m := v.s.o.Map()
	if m == nil {
		return false, nil
	}
	state, err := v.take(ctx, m, p)
	if err != nil {
		return false, err
	}
	if err := v.expire(ctx, &state); err != nil {
		return false, err
	}
	v.s.update(func(st *State) { st.Inventory = state })
	p.Progress(fmt.Sprintf("%d replicas, %d missing, %d unknown", state.Replicas, state.Missing, state.Unknown), 0, 0)
	return false, nil
}

// Inventory takes stock now, without deleting anything, and answers what it found.
func (s *Service) Inventory(ctx context.Context) (InventoryState, error) {
	m := s.o.Map()
	if m == nil {
		return InventoryState{}, honeyant.E("maintenance.Inventory", honeyant.Unavailable, "", errors.New("no cluster map yet"))
	}
	look := &inventory{s: s, quarantine: map[suspect]time.Time{}}
	state, err := look.take(ctx, m, nil)
	if err == nil {
		state.Quarantined = s.State().Inventory.Quarantined
	}
	return state, err
}

// take compares all stores that are up.
func (v *inventory) take(ctx context.Context, m *honeyant.Map, p *worker.Pace) (InventoryState, error) {
	state := InventoryState{At: time.Now()}
	want := map[honeyant.StoreID]*expected{}
	count := func(c meta.ChunkInfo) error {
		for _, r := range c.Replicas {
			e := want[r.Store]
			if e == nil {
				e = &expected{}
				want[r.Store] = e
			}
			e.sums[chunk.BucketOf(c.ID)] ^= chunk.InventoryHash(c.ID, r.Generation)
			e.replicas++
			e.bytes += uint64(c.Sum.Length)
		}
		return nil
	}
	for _, dead := range []bool{false, true} {
		if err := v.s.chunks(ctx, meta.ListChunks{Dead: dead}, count); err != nil {
			return state, err
		}
	}
	var err error
	if v.backups, err = backup.Load(ctx, v.s.o.Meta); err != nil {
		return state, err
	}
	for _, k := range v.backups.Kept {
		for _, ref := range k.Refs {
			info := meta.ChunkInfo{ID: ref.ID, Sum: ref.Sum}
			for _, r := range ref.Replicas {
				info.Replicas = append(info.Replicas, meta.ReplicaInfo{Replica: r})
			}
			_ = count(info)
		}
	}
	for _, st := range m.Stores {
		if st.State == honeyant.StoreRemoved {
			continue
		}
		e := want[st.ID]
		if e == nil {
			e = &expected{}
		}
		state.Replicas += e.replicas
		state.Bytes += e.bytes
		if !m.StoreUp(st.ID) {
			state.Skipped = append(state.Skipped, fmt.Sprintf("%s on %s is not up", st.ID, st.Node))
			continue
		}
		if err := v.compare(ctx, st.ID, e, &state); err != nil {
			if ctx.Err() != nil {
				return state, err
			}
			state.Skipped = append(state.Skipped, fmt.Sprintf("%s on %s: %v", st.ID, st.Node, err))
		}
		if p != nil {
			if err := p.Wait(ctx); err != nil {
				return state, err
			}
		}
	}
	return state, nil
}

// compare looks closer at the buckets of one store that differ.
func (v *inventory) compare(ctx context.Context, store honeyant.StoreID, e *expected, state *InventoryState) error {
	have, err := v.s.o.Chunks.Buckets(ctx, store)
	if err != nil {
		return err
	}
	if len(have) != chunk.Buckets {
		return honeyant.E("maintenance.inventory", honeyant.Corrupt, store.String(), fmt.Errorf("%d buckets", len(have)))
	}
	differ := map[int]bool{}
	for n := range have {
		if have[n] != e.sums[n] {
			differ[n] = true
		}
	}
	if len(differ) == 0 {
		return nil
	}
	held := map[suspect]bool{}
	for n := range differ {
		list, err := v.s.o.Chunks.Bucket(ctx, store, n)
		if err != nil {
			return err
		}
		for _, i := range list {
			held[suspect{store, i.ID, i.Generation}] = true
		}
	}
	missing, err := v.strike(ctx, store, differ, held)
	if err != nil {
		return err
	}
	for _, s := range missing {
		gone, err := v.confirmMissing(ctx, s)
		if err != nil {
			return err
		}
		if gone {
			state.Missing++
		}
	}
	return v.judgeUnknown(ctx, store, e, held, state)
}

// strike takes what metadata list out of held, and answers what is listed but not held.
func (v *inventory) strike(ctx context.Context, store honeyant.StoreID, differ map[int]bool, held map[suspect]bool) ([]suspect, error) {
	var missing []suspect
	for _, k := range v.backups.Kept { // one that is missing is not healed: the next backup will have it
		for _, ref := range k.Refs {
			for _, r := range ref.Replicas {
				delete(held, suspect{r.Store, ref.ID, r.Generation})
			}
		}
	}
	for _, dead := range []bool{false, true} {
		err := v.s.chunks(ctx, meta.ListChunks{Dead: dead}, func(c meta.ChunkInfo) error {
			if !differ[chunk.BucketOf(c.ID)] {
				return nil
			}
			for _, r := range c.Replicas {
				if r.Store != store {
					continue
				}
				s := suspect{store, c.ID, r.Generation}
				if held[s] {
					delete(held, s)
				} else if !dead && !r.Bad && !r.Dropping {
					missing = append(missing, s)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// confirmMissing asks again: the chunk may have been dropped or made in between.
func (v *inventory) confirmMissing(ctx context.Context, s suspect) (bool, error) {
	r, err := meta.Do(ctx, v.s.o.Meta, &meta.GetChunk{Volume: v.s.o.Volume, Chunk: s.id})
	if errors.Is(err, honeyant.NotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, rep := range r.Chunk.Replicas {
		if rep.Store != s.store || rep.Generation != s.gen || rep.Bad || rep.Dropping || r.Dead {
			continue
		}
		sum, err := v.s.o.Chunks.Verify(ctx, s.store, s.id, s.gen)
		if err == nil && sum == r.Chunk.Sum || errors.Is(err, honeyant.Unavailable) {
			return false, nil
		}
		return v.s.report(ctx, s.id, rep.Replica, err)
	}
	return false, nil
}

// judgeUnknown quarantines replicas whose writer will never commit them (J4).
func (v *inventory) judgeUnknown(ctx context.Context, store honeyant.StoreID, e *expected, held map[suspect]bool, state *InventoryState) error {
	if len(held) == 0 {
		return nil
	}
	live, next, err := v.liveSessions(ctx)
	if err != nil {
		return err
	}
	confirmed, err := v.s.confirmed(ctx)
	if err != nil {
		return err
	}
	var unknown, looked []suspect
	m := v.s.o.Map()
	if m == nil {
		return honeyant.E("maintenance.inventory", honeyant.NotLeader, "", nil)
	}
	present := m.Incarnation
	for s := range held {
		if v.s.repack.busy(s.id) {
			continue
		}
		if s.id.IsBackup() {
			if v.backups.Garbage(s.id, confirmed) {
				unknown = append(unknown, s)
			}
			continue
		}
		if s.id.Incarnation() != present {
			known, err := v.listed(ctx, s)
			if err != nil {
				return err
			}
			if !known && s.id.Incarnation() < confirmed {
				state.Unknown++
				looked = append(looked, s) // a person has confirmed: however many they are
			} else if !known {
				state.Unknown++
				state.Refused = fmt.Sprintf("%s holds replicas made before the metadata were promoted or restored that no file refers to: nothing is deleted until a person has looked and says honeyant fsck --confirm-incarnation", store)
			}
			continue
		}
		lowWater, alive := live[s.id.Session()]
		if alive && s.id.Counter() >= lowWater || s.id.Session() >= next {
			continue // a write that may still be committed
		}
		// Not of a chunk that is known, or not this generation of it: a second put, a heal that was given up.
		if known, err := v.listed(ctx, s); err != nil {
			return err
		} else if !known {
			unknown = append(unknown, s)
		}
	}
	state.Unknown += uint64(len(unknown))
	if limit := max(unknownFloor, e.replicas/unknownShare); uint64(len(unknown)) > limit {
		state.Refused = fmt.Sprintf("%s holds %d replicas that no file refers to, more than %d: nothing of them is deleted; look at them with honeyant fsck", store, len(unknown), limit)
		return nil
	}
	now := time.Now()
	for _, s := range append(unknown, looked...) {
		if _, known := v.quarantine[s]; !known {
			v.quarantine[s] = now
		}
	}
	return nil
}

// confirmedSetting is the incarnation, in decimal, below which a person has confirmed that replicas
// which no file refers to may go.
const confirmedSetting = "confirmed_incarnation"

// confirmed reads it; 0 if nobody has confirmed anything.
func (s *Service) confirmed(ctx context.Context) (uint32, error) {
	r, err := meta.Do(ctx, s.o.Meta, &meta.GetSetting{Name: confirmedSetting})
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(r.Value), 10, 32)
	if err != nil {
		return 0, nil // absent, or nothing that a person confirmed
	}
	return uint32(n), nil
}

// ConfirmIncarnation says that a person has looked: replicas made before the present incarnation
// that no file refers to go into quarantine, and are deleted when it is over. A later promotion or
// restore needs a confirmation of its own. It answers the present incarnation.
func (s *Service) ConfirmIncarnation(ctx context.Context) (uint32, error) {
	m := s.o.Map()
	if m == nil {
		return 0, honeyant.E("maintenance.ConfirmIncarnation", honeyant.NotLeader, "", nil)
	}
	value := strconv.AppendUint(nil, uint64(m.Incarnation), 10)
	_, err := meta.Do(ctx, s.o.Meta, &meta.PutSetting{Name: confirmedSetting, Value: value})
	return m.Incarnation, err
}

// listed tells whether metadata list exactly this replica, or are about to (an intent has no
// generation yet, so a chunk with a copy under way to the store counts).
func (v *inventory) listed(ctx context.Context, s suspect) (bool, error) {
	r, err := meta.Do(ctx, v.s.o.Meta, &meta.GetChunk{Volume: v.s.o.Volume, Chunk: s.id})
	if errors.Is(err, honeyant.NotExist) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	for _, rep := range r.Chunk.Replicas {
		if rep.Store == s.store && rep.Generation == s.gen {
			return true, nil
		}
	}
	for _, i := range r.Intents {
		if i.Store == s.store {
			return true, nil
		}
	}
	return false, nil
}

// liveSessions are those that may still commit chunks, with their low-water marks, and the number of the next one.
func (v *inventory) liveSessions(ctx context.Context) (map[honeyant.SessionID]uint64, honeyant.SessionID, error) {
	r, err := meta.Do(ctx, v.s.o.Meta, &meta.ListSessions{})
	if err != nil {
		return nil, 0, err
	}
	live := map[honeyant.SessionID]uint64{}
	for _, s := range r.Sessions {
		if !s.Dead {
			live[s.ID] = s.LowWater
		}
	}
	return live, r.Next, nil
}

// expire deletes what has been in quarantine long enough, after asking once more.
func (v *inventory) expire(ctx context.Context, state *InventoryState) error {
	for s, since := range v.quarantine {
		if time.Since(since) < v.s.o.Quarantine || state.Refused != "" {
			state.Quarantined++
			continue
		}
		known, err := v.listed(ctx, s)
		if err != nil {
			return err
		}
		if !known {
			if err := v.s.o.Chunks.Delete(ctx, s.store, s.id, s.gen); err != nil {
				if ctx.Err() != nil {
					return err
				}
				continue // its store does not answer: later
			}
		}
		delete(v.quarantine, s)
	}
	return nil
}
