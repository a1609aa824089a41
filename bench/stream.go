package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// A stream is a row of pieces of pieceSize bytes whose first byte tells whether more
// follow, so that the receiver knows the end without the connection being closed.
const (
	pieceSize  = 128 << 10
	pieceMore  = 1
	pieceLast  = 0
	streamData = 4 << 20
	// streamSilence ends a stream in which nothing moves.
	streamSilence = 20 * time.Second
)

// Source is the data of streams, made once: 4 MiB that can not be made smaller, in pieces
// that are ready to be sent, so that nothing is copied while a clock runs.
type Source struct {
	data []byte // whole pieces, each marked pieceMore
	last []byte // a piece marked pieceLast
}

// NewSource makes the data.
func NewSource() *Source {
	s := &Source{data: noise(streamData/pieceSize*pieceSize, 9), last: noise(pieceSize, 10)}
	for at := 0; at < len(s.data); at += pieceSize {
		s.data[at] = pieceMore
	}
	s.last[0] = pieceLast
	return s
}

// Send sends from memory for d, at least one piece, and leaves the connection usable. It
// ends early with ctx. Safe for concurrent use on different connections.
func (s *Source) Send(ctx context.Context, conn net.Conn, d time.Duration) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	end := time.Now().Add(d)
	for at := 0; ; at = (at + pieceSize) % len(s.data) {
		now := time.Now()
		last := !now.Before(end)
		piece := s.data[at : at+pieceSize]
		if last {
			piece = s.last
		}
		conn.SetWriteDeadline(now.Add(streamSilence))
		if _, err := conn.Write(piece); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if last {
			return nil
		}
	}
}

// Receive reads a stream to its end and returns its bytes and the time from the call on.
func Receive(ctx context.Context, conn net.Conn) (bytes int64, d time.Duration, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	piece := make([]byte, pieceSize)
	began := time.Now()
	for {
		conn.SetReadDeadline(time.Now().Add(streamSilence))
		n, err := io.ReadFull(conn, piece)
		bytes += int64(n)
		if err != nil {
			return bytes, time.Since(began), errors.Join(context.Cause(ctx), err)
		}
		if piece[0] == pieceLast {
			return bytes, time.Since(began), nil
		}
	}
}

// stream sends from a to b for d and returns MB/s as the receiver counted them.
func stream(ctx context.Context, a, b net.Conn, d time.Duration) (float64, error) {
	source := NewSource()
	sent := make(chan error, 1)
	go func() { sent <- source.Send(ctx, a, d) }()
	n, took, err := Receive(ctx, b)
	if err != nil {
		a.Close()
	}
	return float64(n) / 1e6 / took.Seconds(), errors.Join(<-sent, err)
}
