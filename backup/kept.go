package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/wire"
)

// setting is where the metadata list their backups (doc/format/backup.md).
const setting = "backups"

// Kept is a backup that has been verified, with the stores that hold it.
type Kept struct {
	Number uint32
	Made   time.Time // UTC, to the second
	Length uint64    // bytes in the stores, one copy counted
	Holds  meta.Holdings
	Refs   []honeyant.ChunkRef // the manifest, then the parts
}

func (k *Kept) fields(c *wire.Codec) {
	made := k.Made.Unix()
	wire.Uint(c, &k.Number)
	wire.Int(c, &made)
	k.Made = time.Unix(made, 0).UTC()
	wire.Uint(c, &k.Length)
	for _, n := range []*uint64{&k.Holds.Applied, &k.Holds.Pairs, &k.Holds.Bytes, &k.Holds.Inodes, &k.Holds.Names, &k.Holds.Chunks} {
		wire.Uint(c, n)
	}
	wire.Uint(c, &k.Holds.Incarnation)
	wire.Slice(c, &k.Refs, maxParts+1, wire.ChunkRef)
}

// Copies is on how many stores all of it is.
func (k *Kept) Copies() int {
	on := map[honeyant.StoreID]int{}
	for _, ref := range k.Refs {
		for _, r := range ref.Replicas {
			on[r.Store]++
		}
	}
	whole := 0
	for _, n := range on {
		if n == len(k.Refs) {
			whole++
		}
	}
	return whole
}

// List is what the metadata know of their backups.
type List struct {
	Last  uint32 // the highest number given to a backup so far
	Alarm string // why the newest attempt was refused, as a sentence; empty: it was not
	Kept  []Kept // newest first

	raw []byte // what was read
}

func (l *List) fields(c *wire.Codec) {
	version := uint8(1)
	wire.Uint(c, &version)
	if version != 1 {
		c.Failf("list of backups version %d", version)
		return
	}
	wire.Uint(c, &l.Last)
	c.String(&l.Alarm, 1000)
	wire.Slice(c, &l.Kept, 100, func(c *wire.Codec, k *Kept) { k.fields(c) })
}

// Newest is the newest backup, nil if there is none.
func (l *List) Newest() *Kept {
	if len(l.Kept) == 0 {
		return nil
	}
	return &l.Kept[0]
}

// Garbage tells of a chunk of a backup that the list does not name whether it may go: it is what an attempt before
// the newest backup left behind, or of a backup that was thinned out while its store was away; or it was made before an
// incarnation that a person has confirmed. One that is being made, and everything while there is no backup, stays (B4).
func (l *List) Garbage(id honeyant.ChunkID, confirmed uint32) bool {
	n := l.Newest()
	if n == nil {
		return false
	}
	newest := n.Refs[0].ID.Incarnation()
	return id.Incarnation() == newest && numberOf(id) < n.Number || id.Incarnation() < min(newest, confirmed)
}

// Load reads the list from the metadata.
func Load(ctx context.Context, d meta.Doer) (*List, error) {
	r, err := meta.Do(ctx, d, &meta.GetSetting{Name: setting})
	if err != nil {
		return nil, err
	}
	l := &List{raw: r.Value}
	if len(r.Value) == 0 {
		return l, nil
	}
	if err := wire.Unmarshal(r.Value, l.fields); err != nil {
		return nil, honeyant.E("backup.Load", honeyant.Corrupt, setting, err)
	}
	for _, k := range l.Kept {
		if len(k.Refs) < 2 {
			return nil, honeyant.E("backup.Load", honeyant.Corrupt, setting, fmt.Errorf("backup %d has %d chunks", k.Number, len(k.Refs)))
		}
	}
	return l, nil
}

// save puts the list in the place of the one that was loaded. Conflict: somebody else has changed it meanwhile.
func (l *List) save(ctx context.Context, d meta.Doer) error {
	const op = "backup.save"
	raw := wire.Marshal(l.fields)
	if len(raw) > meta.MaxSetting {
		return honeyant.E(op, honeyant.TooLarge, setting, fmt.Errorf("the places of %d backups take %d bytes: the metadata are too large to be backed up into the stores", len(l.Kept), len(raw)))
	}
	if _, err := meta.Do(ctx, d, &meta.PutSetting{Name: setting, Value: raw, Compare: true, Expect: l.raw}); err != nil {
		return honeyant.E(op, honeyant.Other, setting, err)
	}
	l.raw = raw
	return nil
}

// How many backups are kept: the newest ones, and of earlier days the last one each.
const (
	keptNewest = 2
	keptDays   = 2
)

// thin parts backups, newest first, into those that stay and those that may go.
func thin(all []Kept) (stay, gone []Kept) {
	var days []string
	for i, k := range all {
		day := k.Made.Format(time.DateOnly)
		first := i >= keptNewest && len(days) < keptDays && day != all[0].Made.Format(time.DateOnly)
		for _, d := range days {
			first = first && d != day
		}
		switch {
		case i < keptNewest:
			stay = append(stay, k)
		case first:
			days = append(days, day)
			stay = append(stay, k)
		default:
			gone = append(gone, k)
		}
	}
	return stay, gone
}

// What a backup holds more than for a smaller one to be suspicious: of inodes, names or chunks, and of bytes.
const (
	shrinkFloor      = 1000
	shrinkFloorBytes = 1 << 20
)

// shrunk says what is wrong with metadata that hold so much less than their newest backup (B3); empty: nothing.
func shrunk(was *Kept, now *meta.Holdings) string {
	if was == nil {
		return ""
	}
	for _, c := range []struct {
		what     string
		was, now uint64
	}{{"files and directories", was.Holds.Inodes, now.Inodes}, {"names", was.Holds.Names, now.Names}, {"chunks", was.Holds.Chunks, now.Chunks}, {"bytes", was.Holds.Bytes, now.Bytes}} {
		if c.was > shrinkFloor && c.now < c.was/2 && (c.what != "bytes" || c.was > shrinkFloorBytes) {
			return fmt.Sprintf("The metadata hold %d %s, and their backup of %s held %d: that backup was kept and no new one made. If so much was deleted on purpose, say honeyant backup now --accept-smaller.",
				c.now, c.what, was.Made.Format("2006-01-02 15:04 MST"), c.was)
		}
	}
	return ""
}
