package buffers

import "context"

// Spare lends out a few buffers of one size, made when first needed. Safe for concurrent use.
type Spare struct {
	size int
	kept chan []byte // nil: one that is not made yet
}

// NewSpare is for so many buffers of size bytes.
func NewSpare(count, size int) *Spare {
	s := &Spare{size: size, kept: make(chan []byte, count)}
	for range count {
		s.kept <- nil
	}
	return s
}

// Take waits for a buffer, or until the context ends; Give it back.
func (s *Spare) Take(ctx context.Context) ([]byte, error) {
	select {
	case b := <-s.kept:
		if b == nil {
			b = make([]byte, s.size)
		}
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Give takes a buffer back.
func (s *Spare) Give(b []byte) { s.kept <- b }
