package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	wantMemory = 256 << 20 // beyond the caches of any processor that is rented by the core
	leastMem   = 16 << 20
	cacheLine  = 64
)

// mem measures the memory in a buffer of 256 MiB, or a quarter of what is available.
func (s *session) mem(ctx context.Context) error {
	size := int64(wantMemory)
	if free := memInfo("MemAvailable"); free > 0 {
		size = min(size, free/4)
	}
	if s.host.MemoryLimit > 0 {
		size = min(size, s.host.MemoryLimit/4)
	}
	size = size >> 20 << 20
	if size < leastMem {
		return fmt.Errorf("too little memory is available: %d MiB can be used, at least %d are needed", size>>20, leastMem>>20)
	}
	buf, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("memory for the measurement: %w", err)
	}
	defer unix.Munmap(buf)
	for i := 0; i < len(buf); i += 4096 {
		buf[i] = byte(i >> 12)
	}
	params := func(threads int) map[string]string {
		return map[string]string{"threads": strconv.Itoa(threads), "buffer": strconv.FormatInt(size>>20, 10) + " MiB"}
	}
	single := 0.0
	for _, how := range []struct {
		suffix  string
		threads int
	}{{"1", 1}, {"all", threads()}} {
		part := len(buf) / how.threads / 2 &^ 4095
		// In pieces, so that the clock is read often; each thread goes through its whole part.
		piece := min(part, 4<<20)
		at := make([]int, how.threads)
		if _, err := s.measure(ctx, "mem.copy."+how.suffix, probe{params: params(how.threads),
			sample: timed(how.threads, 1e-9, func(i int) float64 {
				from := buf[2*i*part:]
				n := copy(from[part+at[i]:part+at[i]+piece], from[at[i]:at[i]+piece])
				if at[i] += piece; at[i]+piece > part {
					at[i] = 0
				}
				return float64(n)
			}),
			finish: func(r *Result) {
				if how.suffix == "1" {
					single = r.Median
				} else if single > 0 {
					r.Also = append(r.Also, Also{"scaling", r.Median / single, "×"})
				}
			}}); err != nil {
			return err
		}
	}
	chase := newChase(buf)
	_, err = s.measure(ctx, "mem.latency", probe{params: params(1), sample: func(ctx context.Context, d time.Duration) (float64, error) {
		return 1e9 / rate(ctx, d, 1, chase), nil
	}})
	return err
}

// newChase links all cache lines of buf into one random cycle (Sattolo's algorithm) and
// returns an op that follows it.
func newChase(buf []byte) func(int) float64 {
	lines := uint32(len(buf) / cacheLine)
	slot := func(line uint32) *uint32 { return (*uint32)(unsafe.Pointer(&buf[int(line)*cacheLine])) }
	for i := range lines {
		*slot(i) = i
	}
	r := rand.New(rand.NewPCG(3, 4))
	for i := lines - 1; i > 0; i-- {
		a, b := slot(i), slot(uint32(r.IntN(int(i))))
		*a, *b = *b, *a
	}
	at := uint32(0)
	return func(int) float64 {
		const steps = 1000
		for range steps {
			at = *slot(at)
		}
		return steps
	}
}
