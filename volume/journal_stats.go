package volume

import "time"

// JournalStats tells of changes made under exclusive leases.
type JournalStats struct {
	Held    int           // inodes held exclusively
	Memory  int64         // bytes that what is known of them takes, about
	Records int           // changes that the leader does not know yet
	Bytes   int64         // that these take, about
	Age     time.Duration // of the oldest of them
	Local   uint64        // operations carried out without the leader, reads too
	Taken   uint64        // leases granted on request
	Recalls uint64        // inodes recalled
	Flushes uint64        // times that records were sent
	Slowest time.Duration // of these
	Lost    uint64        // changes that were lost: refused, or not accepted in time
}

func (j *journal) figures() JournalStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := JournalStats{
		Held: j.shadow.Len(), Memory: j.shadow.Bytes(), Records: len(j.records), Bytes: j.bytes,
		Local: j.stats.local.Load(), Taken: j.stats.taken.Load(), Recalls: j.stats.recalls.Load(), Flushes: j.stats.flushes.Load(),
		Slowest: time.Duration(j.stats.slowest.Load()), Lost: j.stats.lost.Load(),
	}
	if len(j.records) > 0 {
		s.Age = time.Since(j.records[0].at)
	}
	return s
}
