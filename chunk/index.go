package chunk

import "github.com/honeyant/honeyant"

// index maps hashes of chunk IDs to generations: 16 bytes a slot in one open-addressed table per
// inventory bucket, kept between 7/12 and 7/8 full, so at most 28 bytes a chunk. The ID itself is in the record's
// header; two IDs may share a hash. Not safe for concurrent use: Store.mu.
type index struct {
	tables [Buckets]table
	count  int
	slots  int
}

type slot struct{ key, gen uint64 } // gen 0: free

type table struct {
	slots []slot
	used  int
	xor   uint64
}

// home is where key belongs in a table of n slots: the low 32 bits scaled, as the high
// ones chose the table.
func home(key uint64, n int) int { return int(uint64(uint32(key)) * uint64(n) >> 32) }

// insert adds the pair, which must not be there.
func (x *index) insert(key uint64, gen honeyant.Generation) {
	t := &x.tables[key>>52]
	if (t.used+1)*8 > len(t.slots)*7 {
		x.grow(t)
	}
	t.place(slot{key, uint64(gen)})
	t.used++
	t.xor ^= inventoryHash(key, uint64(gen))
	x.count++
}

func (x *index) grow(t *table) {
	old := t.slots
	t.slots = make([]slot, max(4, len(old)+(len(old)+1)/2))
	x.slots += len(t.slots) - len(old)
	for _, s := range old {
		if s.gen != 0 {
			t.place(s)
		}
	}
}

func (t *table) place(s slot) {
	i := home(s.key, len(t.slots))
	for t.slots[i].gen != 0 {
		i++
		if i == len(t.slots) {
			i = 0
		}
	}
	t.slots[i] = s
}

// generations appends to buf the generations with this key.
func (x *index) generations(key uint64, buf []honeyant.Generation) []honeyant.Generation {
	t := &x.tables[key>>52]
	if len(t.slots) == 0 {
		return buf
	}
	for i := home(key, len(t.slots)); t.slots[i].gen != 0; {
		if t.slots[i].key == key {
			buf = append(buf, honeyant.Generation(t.slots[i].gen))
		}
		i++
		if i == len(t.slots) {
			i = 0
		}
	}
	return buf
}

// has tells whether the pair is there.
func (x *index) has(key uint64, gen honeyant.Generation) bool { return x.find(key, gen) >= 0 }

func (x *index) find(key uint64, gen honeyant.Generation) int {
	t := &x.tables[key>>52]
	if len(t.slots) == 0 {
		return -1
	}
	for i := home(key, len(t.slots)); t.slots[i].gen != 0; {
		if t.slots[i] == (slot{key, uint64(gen)}) {
			return i
		}
		i++
		if i == len(t.slots) {
			i = 0
		}
	}
	return -1
}

// remove takes the pair out and tells whether it was there. Later entries of the same run
// move up, so that no marks are needed.
func (x *index) remove(key uint64, gen honeyant.Generation) bool {
	hole := x.find(key, gen)
	if hole < 0 {
		return false
	}
	t := &x.tables[key>>52]
	n := len(t.slots)
	for i := (hole + 1) % n; t.slots[i].gen != 0; i = (i + 1) % n {
		h := home(t.slots[i].key, n)
		// Entry i may move to the hole unless its home lies cyclically in (hole, i].
		if between := (i-h+n)%n < (i-hole+n)%n; !between {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = slot{}
	t.used--
	t.xor ^= inventoryHash(key, uint64(gen))
	x.count--
	if len(t.slots) > 8 && t.used*4 < len(t.slots) {
		x.shrink(t)
	}
	return true
}

func (x *index) shrink(t *table) {
	old := t.slots
	t.slots = make([]slot, max(4, t.used+t.used/2))
	x.slots += len(t.slots) - len(old)
	for _, s := range old {
		if s.gen != 0 {
			t.place(s)
		}
	}
}

// bytes is the memory the index takes.
func (x *index) bytes() int64 { return int64(x.slots)*16 + Buckets*40 }
