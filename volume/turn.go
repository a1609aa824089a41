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
