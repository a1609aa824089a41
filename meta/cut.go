package meta

import (
	"fmt"

	"github.com/honeyant/honeyant"
)

// swapAbove is how many extents an emptied file may have to be freed at once; with more it
// gets a new data ID, and the old one is queued.
const swapAbove = 16

// setSize makes a file size bytes long. The caller notes the change and stores the inode.
func (t *Tx) setSize(op string, v honeyant.VolumeID, i *Inode, size uint64) error {
	if size < i.Attr.Size {
		if err := t.cutTail(op, v, i, size); err != nil {
			return err
		}
	}
	i.Attr.Size = size
	return nil
}

// cutTail frees all from an offset on: at once if it is little, else by a floor or a new data
// ID in O(1) and Reap after it. Conflict: an earlier cut is still pending and both can not be
// said by one floor; it works again when Reap has run.
func (t *Tx) cutTail(op string, v honeyant.VolumeID, i *Inode, from uint64) error {
	if i.Covered == 0 {
		t.unfloor(v, i)
		return nil
	}
	direct := cutDirectly
	if from == 0 {
		direct = swapAbove
	}
	m := t.fileMap(v, i)
	err := m.cut(op, from, ^uint64(0), direct)
	switch {
	case err == nil:
		if from == 0 {
			t.unfloor(v, i)
		}
		return m.close()
	case honeyant.KindOf(err) != honeyant.OutOfRange:
		return err
	case from == 0:
		t.swapData(v, i)
		return nil
	case i.FloorVersion != 0 && from > i.FloorOffset:
		return honeyant.E(op, honeyant.Conflict, inoString(i.Attr.Ino), fmt.Errorf("an earlier cut is still being freed"))
	}
	// What straddles the offset is cut now, so that stale extents all begin at the floor or past it.
	for _, p := range m.overlapping(from, from+1, 1) {
		if p.Offset < from {
			m.cutOne(p, from, ^uint64(0))
		}
	}
	if err := m.close(); err != nil {
		return err
	}
	if i.FloorVersion == 0 {
		t.counts(v, func(c *CountsReply) { c.Queued++ })
	}
	i.FloorOffset, i.FloorVersion = from, i.Attr.Version
	q := queued{Ino: i.Attr.Ino, From: from, Version: i.FloorVersion}
	t.store(dataKey(tabQueue, v, i.Data), q.fields)
	return nil
}

// unfloor forgets a pending cut of a file that has no extents any more.
func (t *Tx) unfloor(v honeyant.VolumeID, i *Inode) {
	if i.FloorVersion == 0 {
		return
	}
	i.FloorOffset, i.FloorVersion = 0, 0
	t.del(dataKey(tabQueue, v, i.Data))
	t.counts(v, func(c *CountsReply) { c.Queued-- })
}

// swapData gives a file a new, empty data ID and queues the old one.
func (t *Tx) swapData(v honeyant.VolumeID, i *Inode) {
	if t.queueData(v, i) {
		i.Data = DataID(t.next(counterInode))
	}
	i.Covered, i.Attr.Blocks = 0, 0
	i.FloorOffset, i.FloorVersion = 0, 0
}

// queueData queues all data of an inode, if it has any.
func (t *Tx) queueData(v honeyant.VolumeID, i *Inode) bool {
	if i.Covered == 0 {
		t.unfloor(v, i)
		return false
	}
	if i.FloorVersion == 0 {
		t.counts(v, func(c *CountsReply) { c.Queued++ })
	}
	q := queued{Version: ^uint64(0)}
	t.store(dataKey(tabQueue, v, i.Data), q.fields)
	return true
}
