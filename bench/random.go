package bench

import (
	"context"
	"crypto/rand"
	"io"
	mathrand "math/rand/v2"
	"os"
	"strconv"
)

// random measures generators of random numbers: the one for keys, the kernel's, and the
// one that makes our test data, which never runs while another clock does.
func (s *session) random(ctx context.Context) error {
	const piece = 64 << 10
	n := threads()
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, piece)
	}
	single := 0.0
	for _, how := range []struct {
		suffix  string
		threads int
	}{{"1", 1}, {"all", n}} {
		if _, err := s.measure(ctx, "random.crypto."+how.suffix, probe{params: map[string]string{"threads": strconv.Itoa(how.threads)},
			sample: timed(how.threads, 1e-6, func(i int) float64 {
				rand.Read(bufs[i]) // never fails: the program ends instead
				return piece
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
	if f, err := os.Open("/dev/urandom"); err != nil {
		s.skip(Skip{Name: "random.urandom", Reason: err.Error()})
	} else {
		_, err := s.measure(ctx, "random.urandom", probe{sample: timed(1, 1e-6, func(int) float64 {
			n, _ := io.ReadFull(f, bufs[0])
			return float64(n)
		})})
		f.Close()
		if err != nil {
			return err
		}
	}
	gen := mathrand.NewChaCha8([32]byte{1})
	_, err := s.measure(ctx, "random.chacha8", probe{sample: timed(1, 1e-6, func(int) float64 {
		n, _ := gen.Read(bufs[0])
		return float64(n)
	})})
	return err
}
