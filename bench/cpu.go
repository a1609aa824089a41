package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpu measures the processors: five kernels on one and on all of them, a score, system
// calls, context switches, timers.
func (s *session) cpu(ctx context.Context) error {
	n := threads()
	scores := map[string]float64{"1": 1, "all": 1}
	parts := map[string]int{}
	from := readTicks()
	for _, k := range kernels() {
		ops := make([]func() float64, n)
		for i := range ops {
			op, err := k.make()
			if err != nil {
				return err
			}
			ops[i] = op
		}
		single := 0.0
		for _, how := range []struct {
			suffix  string
			threads int
		}{{"1", 1}, {"all", n}} {
			r, err := s.measure(ctx, "cpu."+k.name+"."+how.suffix, probe{
				sample: timed(how.threads, 1, func(i int) float64 { return ops[i]() }),
				params: map[string]string{"threads": strconv.Itoa(how.threads)},
				finish: func(r *Result) {
					if how.suffix == "1" {
						single = r.Median
					} else if single > 0 {
						r.Also = append(r.Also, Also{"scaling", r.Median / single, "×"}, Also{"per_processor", r.Median / float64(n), "/s"})
					}
				},
			})
			if err != nil {
				return err
			}
			if r != nil && k.reference > 0 {
				scores[how.suffix] *= r.Median / k.reference
				parts[how.suffix]++
			}
		}
	}
	during := readTicks().since(from)
	for _, suffix := range []string{"1", "all"} {
		if parts[suffix] == 4 {
			s.derive("cpu.score."+suffix, 1000*math.Pow(scores[suffix], 1.0/4), func(r *Result) {
				r.During, r.Why = during, during.taint()
				r.Tainted = len(r.Why) > 0
				r.Params = map[string]string{"threads": map[string]string{"1": "1", "all": strconv.Itoa(n)}[suffix]}
				r.Notes = []string{"made of the median of four other measurements"}
			})
		}
	}
	if err := s.kernelCalls(ctx); err != nil {
		return err
	}
	s.derive("cpu.steal", during.StealPct, func(r *Result) {
		r.During = during
		r.Also = []Also{{"iowait", during.IOWaitPct, "%"}}
		r.Notes = []string{"over the time of the measurements above"}
	})
	s.clock()
	return nil
}

// kernelCalls measures what the operating system takes for its smallest services.
func (s *session) kernelCalls(ctx context.Context) error {
	if _, err := s.measure(ctx, "cpu.syscall", probe{sample: func(ctx context.Context, d time.Duration) (float64, error) {
		const batch = 1000
		return 1e6 / rate(ctx, d, 1, func(int) float64 {
			for range batch {
				unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
			return batch
		}), nil
	}}); err != nil {
		return err
	}
	if _, err := s.measure(ctx, "cpu.switch", probe{sample: switches}); err != nil {
		return err
	}
	h := &histogram{}
	_, err := s.measure(ctx, "cpu.jitter", probe{length: s.pace.jitter, warm: s.pace.warm, lat: h, unit: "µs",
		sample: func(ctx context.Context, d time.Duration) (float64, error) {
			one := &histogram{}
			for until := time.Now().Add(d); time.Now().Before(until) && ctx.Err() == nil; {
				at := time.Now()
				unix.Nanosleep(&unix.Timespec{Nsec: int64(time.Millisecond)}, nil)
				one.add(time.Since(at) - time.Millisecond)
			}
			h.merge(one)
			return one.quantile(.999) / 1e3, nil
		},
		finish: func(r *Result) {
			r.Notes = append(r.Notes, "the samples are short, so the figure of all of them together stands under latency")
		}})
	return err
}

// switches sends a byte back and forth between two threads through pipes and returns the
// microseconds of one way.
func switches(ctx context.Context, d time.Duration) (float64, error) {
	var there, back [2]int
	if err := unix.Pipe2(there[:], unix.O_CLOEXEC); err != nil {
		return 0, fmt.Errorf("pipe: %w", err)
	}
	if err := unix.Pipe2(back[:], unix.O_CLOEXEC); err != nil {
		unix.Close(there[0])
		unix.Close(there[1])
		return 0, fmt.Errorf("pipe: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		b := make([]byte, 1)
		for {
			if n, err := unix.Read(there[0], b); n != 1 || err != nil {
				return
			}
			if n, err := unix.Write(back[1], b); n != 1 || err != nil {
				return
			}
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := make([]byte, 1)
	perSecond := rate(ctx, d, 1, func(int) float64 {
		unix.Write(there[1], b)
		unix.Read(back[0], b)
		return 2
	})
	unix.Close(there[1]) // the other thread reads the end of file
	<-done
	for _, fd := range []int{there[0], back[0], back[1]} {
		unix.Close(fd)
	}
	return 1e6 / perSecond, nil
}
