package buffers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/honeyant/honeyant/volume/buffers"
)

func TestSpare(t *testing.T) {
	s := buffers.NewSpare(2, 100)
	a, err := s.Take(t.Context())
	if err != nil || len(a) != 100 {
		t.Fatal(len(a), err)
	}
	if _, err := s.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("no patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := s.Take(ctx); !errors.Is(err, gone) {
		t.Errorf("a third one: %v", err)
	}
	a[0] = 7
	s.Give(a)
	if b, err := s.Take(t.Context()); err != nil || b[0] != 7 {
		t.Errorf("not the one that was given back: %v", err)
	}
}
