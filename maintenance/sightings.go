package maintenance

import (
	"time"

	"github.com/honeyant/honeyant"
)

// sightings is what this leader remembers of the chunks of one kind as it goes through their list, round by round: since
// when each has been on it, and what its job has noted. What a round has not seen is forgotten with its end. For one
// goroutine.
type sightings[T any] struct {
	most  int // remembered at once, about 100 bytes each; the rest is noted when these are gone
	round uint64
	of    map[honeyant.ChunkID]*sighting[T]
}

// sighting is one chunk.
type sighting[T any] struct {
	since time.Time // when this leader first saw it
	round uint64    // when it was last seen
	notes T
}

func newSightings[T any](most int) *sightings[T] {
	return &sightings[T]{most: most, of: map[honeyant.ChunkID]*sighting[T]{}}
}

// begin begins a round. One that breaks off is not ended.
func (s *sightings[T]) begin() { s.round++ }

// see notes that a chunk is on the list; nil if it is one too many.
func (s *sightings[T]) see(id honeyant.ChunkID, now time.Time) *sighting[T] {
	one := s.of[id]
	if one == nil {
		if len(s.of) >= s.most {
			return nil
		}
		one = &sighting[T]{since: now}
		s.of[id] = one
	}
	one.round = s.round
	return one
}

// end forgets what the round has not seen.
func (s *sightings[T]) end() {
	for id, one := range s.of {
		if one.round != s.round {
			delete(s.of, id)
		}
	}
}
