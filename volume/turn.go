package volume

import "context"

// turn is a mutex, or with more than one place a counting one, whose waiting ends with a context.
type turn chan struct{}

func newTurn(places int) turn { return make(turn, places) }

// take waits for a place; give it back.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turn) give() { <-t }

// spare lends out a few buffers of one size, made when first needed.
type spare struct {
	places turn
	size   int
	kept   chan []byte
}

func newSpare(count, size int) *spare {
	return &spare{places: newTurn(count), size: size, kept: make(chan []byte, count)}
}

// take waits for a buffer; give it back.
func (s *spare) take(ctx context.Context) ([]byte, error) {
	if err := s.places.take(ctx); err != nil {
		return nil, err
	}
	select {
	case b := <-s.kept:
		return b, nil
	default:
		return make([]byte, s.size), nil
	}
}

func (s *spare) give(b []byte) {
	s.kept <- b
	s.places.give()
}
