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

// sourceBound is how many times faster than a figure its data must be at hand, or the figure
// says more about them than about the way.
const sourceBound = 3

// SourceSpeed notes beside a figure of a stream, in MB/s, how fast its data are at hand:
// they were made before and are only read from memory.
func SourceSpeed(r *Result, data []byte) {
	from := make([]byte, len(data))
	best := time.Duration(0)
	for range 3 {
		at := time.Now()
		copy(from, data)
		if d := max(time.Since(at), time.Nanosecond); best == 0 || d < best {
			best = d
		}
	}
	speed := float64(len(data)) / 1e6 / best.Seconds()
	r.Also = append(r.Also, Also{"gen", speed, "MB/s"})
	if speed < sourceBound*r.Median {
		r.Notes = append(r.Notes, "generator-bound: the data can be read from memory less than 3 times as fast as they were sent")
	}
}

// Finish notes the speed of the source beside a figure.
func (s *Source) Finish(r *Result) { SourceSpeed(r, s.data) }

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
func stream(ctx context.Context, source *Source, a, b net.Conn, d time.Duration) (float64, error) {
	sent := make(chan error, 1)
	go func() { sent <- source.Send(ctx, a, d) }()
	n, took, err := Receive(ctx, b)
	if err != nil {
		a.Close()
	}
	return float64(n) / 1e6 / took.Seconds(), errors.Join(<-sent, err)
}
