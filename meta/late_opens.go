package meta

import "github.com/honeyant/honeyant"

// lateOpens remembers what sessions have released lately, so that an open that was sent before and arrives after it (its
// caller gave up) does not count for ever. Guarded by openTable.mu.
type lateOpens map[honeyant.SessionID]*releasedLately

// releasedLately is one session's: the newest releases, each with its stamp.
type releasedLately struct {
	stamps map[OpenFile]uint64
	order  []OpenFile // a ring: the oldest one is at next
	next   int
}

// lateMost bounds the releases remembered of a session.
const lateMost = 1024

// released notes a release.
func (l lateOpens) released(s honeyant.SessionID, f OpenFile, stamp uint64) {
	r := l[s]
	if r == nil {
		r = &releasedLately{stamps: map[OpenFile]uint64{}}
		l[s] = r
	}
	if old, ok := r.stamps[f]; ok {
		r.stamps[f] = max(old, stamp)
		return
	}
	r.stamps[f] = stamp
	if len(r.order) < lateMost {
		r.order = append(r.order, f)
		return
	}
	delete(r.stamps, r.order[r.next])
	r.order[r.next] = f
	r.next = (r.next + 1) % lateMost
}

// late tells whether an open is older than a release of the same file.
func (l lateOpens) late(s honeyant.SessionID, f OpenFile, stamp uint64) bool {
	r := l[s]
	return r != nil && r.stamps[f] > stamp
}
