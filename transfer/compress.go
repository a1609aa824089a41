package transfer

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/honeyant/honeyant"
)

// Compression says whether parts are compressed on their way between machines.
type Compression string

// The choices of --compress.
const (
	CompressAuto Compression = "auto" // where it pays: see codec.worth
	CompressZstd Compression = "zstd" // whatever becomes smaller
	CompressOff  Compression = "off"
)

// form is how a part travels, and why. It crosses the wire: only ever append.
type form uint8

const (
	formRaw          form = iota // not asked for
	formZstd                     // zstd, fastest level
	formIncompressed             // raw: a sample did not become smaller
	formFastLink                 // raw: the link is faster than the codec
	formEnd
)

// Limits of the choice.
const (
	samplePiece = 8 << 10
	// shrinks is the most that a sample may keep of its size to be worth the work.
	shrinks = 0.9
	// gain is by how much compressing must be faster than not compressing.
	gain = 1.1
)

// codec compresses parts and decides which. Safe for concurrent use.
type codec struct {
	choice Compression
	link   *gauge
	enc    *zstd.Encoder
	dec    *zstd.Decoder
	cores  float64

	mu    sync.Mutex // guards speed
	speed float64    // of the codec, bytes/s and core: moving mean
}

func newCodec(choice Compression, link *gauge) (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(partSize))
	if err != nil {
		return nil, honeyant.E("compress", honeyant.Internal, "", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(4*partSize), zstd.WithDecoderMaxWindow(2*partSize))
	if err != nil {
		return nil, honeyant.E("compress", honeyant.Internal, "", err)
	}
	return &codec{choice: choice, link: link, enc: enc, dec: dec, cores: float64(runtime.GOMAXPROCS(0))}, nil
}

func (c *codec) close() {
	c.enc.Close()
	c.dec.Close()
}

// pack gives the form of a part and the bytes that travel.
func (c *codec) pack(b []byte) (form, []byte) {
	if c.choice == CompressOff || len(b) < 512 {
		return formRaw, b
	}
	ratio := c.sample(b)
	if ratio > shrinks {
		return formIncompressed, b
	}
	if c.choice == CompressAuto && !c.worth(ratio) {
		return formFastLink, b
	}
	start := time.Now()
	packed := c.enc.EncodeAll(b, make([]byte, 0, len(b)))
	c.learn(len(b), time.Since(start))
	if len(packed) >= len(b) {
		return formIncompressed, b
	}
	return formZstd, packed
}

// sample compresses three pieces of b and tells what part of their size remains.
func (c *codec) sample(b []byte) float64 {
	if len(b) <= 3*samplePiece {
		return float64(len(c.enc.EncodeAll(b, nil))) / float64(len(b))
	}
	in, out := 0, 0
	buf := make([]byte, 0, 2*samplePiece)
	start := time.Now()
	for i := range 3 {
		at := i * (len(b) - samplePiece) / 2
		out += len(c.enc.EncodeAll(b[at:at+samplePiece], buf))
		in += samplePiece
	}
	c.mu.Lock()
	unknown := c.speed == 0
	c.mu.Unlock()
	if unknown {
		c.learn(in, time.Since(start))
	}
	return float64(out) / float64(in)
}

func (c *codec) learn(n int, took time.Duration) {
	now := float64(n) / max(took, time.Microsecond).Seconds()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.speed == 0 {
		c.speed = now
		return
	}
	c.speed += (now - c.speed) / 8
}

// worth compares: raw, the copy goes at the link's speed; compressed, at the link's speed
// over the ratio, or at that of the codec on all cores but one, whichever is less. As long as
// nothing is known of the link it pays: on a fast one that costs a fraction of a second, on a slow
// one not to do it costs many.
func (c *codec) worth(ratio float64) bool {
	link := c.link.speed()
	pays := link == 0 || min(c.packSpeed(), link/ratio) > gain*link
	c.link.hold(pays)
	return pays
}

// packSpeed is how many bytes a second the codec takes, leaving a core for ssh.
func (c *codec) packSpeed() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.speed * max(1, c.cores-1)
}

// unpack gives a part's bytes back. Errors: Corrupt.
func (c *codec) unpack(f form, b []byte) ([]byte, error) {
	if f >= formEnd {
		return nil, honeyant.E("unpack", honeyant.Corrupt, "", fmt.Errorf("unknown form %d", f))
	}
	if f != formZstd {
		return b, nil
	}
	out, err := c.dec.DecodeAll(b, nil)
	if err != nil || len(out) > partSize {
		return nil, honeyant.E("unpack", honeyant.Corrupt, "", err)
	}
	return out, nil
}

// gauge measures a link by the time that writing to it takes: a link that is slower than
// what it is fed makes the writer wait. Safe for concurrent use.
type gauge struct {
	mu    sync.Mutex // guards what follows
	first int64      // bytes that went into buffers, up to that many
	bytes int64
	busy  time.Duration
	since time.Time
	mean  float64 // seconds per byte over the last windows; 0 before the first
	held  bool    // parts are compressed: a link that has time to spare tells nothing
}

const (
	// window is how many bytes make one measurement.
	window = 2 * partSize
	// buffers is what pipes and sockets hold at most (tcp_wmem and ssh's window): the first
	// bytes go there at the speed of memory and tell nothing of the link.
	buffers = 6 << 20
)

// add says that n bytes were written, which took so long.
func (g *gauge) add(n int, took time.Duration, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.first < buffers {
		g.first += int64(n)
		g.since = now
		return
	}
	g.bytes += int64(n)
	g.busy += took
	if g.bytes < window {
		return
	}
	// Times are averaged, not speeds: what went into a buffer once more must not make a slow
	// link look fast for long.
	slow := max(g.busy, time.Microsecond).Seconds() / float64(g.bytes)
	full := g.busy*2 > now.Sub(g.since)
	g.bytes, g.busy, g.since = 0, 0, now
	switch {
	case g.mean == 0:
		g.mean = slow
	case g.held && !full:
	default:
		g.mean += (slow - g.mean) / 4
	}
}

// speed is bytes a second, 0 while that is not known.
func (g *gauge) speed() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mean == 0 {
		return 0
	}
	return 1 / g.mean
}

// hold says whether parts are being compressed just now.
func (g *gauge) hold(yes bool) {
	g.mu.Lock()
	g.held = yes
	g.mu.Unlock()
}
