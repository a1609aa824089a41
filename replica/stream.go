package replica

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/chunk"
	"github.com/honeyant/honeyant/rpc"
)

// stream is a connection that carries one request after another. One goroutine reads; writes
// are put in a row by mu, because msgAlive comes from a timer.
type stream struct {
	conn rpc.Conn
	in   [headSize]byte

	mu   sync.Mutex // guards out and the order of writes
	out  [4 * headSize]byte
	bufs [8][]byte

	used  bool      // carried a request before
	slot  bool      // has one of its peer's slots
	since time.Time // when it fell idle
}

// send writes one message; it must be on its way within limit.
func (s *stream) send(kind messageKind, payload []byte, limit time.Duration) error {
	h := head{length: uint32(len(payload)), kind: kind}
	if len(payload) > 0 {
		h.crc = payloadCRC(payload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	h.put(s.out[:])
	if len(payload) == 0 {
		_, err := s.conn.Write(s.out[:headSize])
		return err
	}
	return rpc.WriteBuffers(s.conn, s.out[:headSize], payload)
}

// framesAtOnce is how many frames go out in one Write: what the network gathers.
const framesAtOnce = 2

// sendFrames writes frames from number first on, all but a last one of honeyant.FrameSize.
func (s *stream) sendFrames(first uint32, data []byte, crcs []uint32, limit time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	for len(data) > 0 {
		bufs := s.bufs[:0]
		for i := 0; i < framesAtOnce && len(data) > 0; i++ {
			n := min(len(data), honeyant.FrameSize)
			h := head{length: uint32(n), kind: msgData, arg: first, crc: crcs[0]}
			b := s.out[i*headSize : (i+1)*headSize]
			h.put(b)
			bufs = append(bufs, b, data[:n])
			data, crcs, first = data[n:], crcs[1:], first+1
		}
		if err := rpc.WriteBuffers(s.conn, bufs...); err != nil {
			return err
		}
	}
	return nil
}

// recv reads the next message's head.
func (s *stream) recv() (head, error) {
	if _, err := io.ReadFull(s.conn, s.in[:]); err != nil {
		return head{}, err
	}
	return parseHead(s.in[:])
}

// payload reads what follows a head that is not msgData.
func (s *stream) payload(h head) ([]byte, error) {
	if h.length == 0 {
		return nil, nil
	}
	b := make([]byte, h.length)
	if _, err := io.ReadFull(s.conn, b); err != nil {
		return nil, err
	}
	if payloadCRC(b) != h.crc {
		return nil, corrupt("checksum of message %d", h.kind)
	}
	return b, nil
}

// frame reads the data behind a head into p, which has their length, and checks them [P2].
func (s *stream) frame(h head, id honeyant.ChunkID, p []byte) error {
	if _, err := io.ReadFull(s.conn, p); err != nil {
		return err
	}
	if chunk.FrameCRC(id, h.arg, p) != h.crc {
		return honeyant.E("replica.Frame", honeyant.Corrupt, id.String(), errors.New("a frame does not match its checksum"))
	}
	return nil
}

// wait sets how long the next reads may take.
func (s *stream) wait(limit time.Duration) error {
	return s.conn.SetReadDeadline(time.Now().Add(limit))
}

// isTimeout tells a deadline from a connection that broke.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// expectedFrame is the length of frame number n of a chunk.
func expectedFrame(n uint32, length uint32) int {
	at := uint64(n) * honeyant.FrameSize
	if at >= uint64(length) {
		return 0
	}
	return int(min(honeyant.FrameSize, uint64(length)-at))
}

// Buffers are shared by all streams of the process.
var (
	framePool = sync.Pool{New: func() any { return new([honeyant.FrameSize]byte) }}
	readPool  = sync.Pool{New: func() any { return new([readBatch]byte) }}
)

// readBatch is how much a server reads from its disk at once for one stream.
const readBatch = framesAtOnce * honeyant.FrameSize
