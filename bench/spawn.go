package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// spawn measures the start of programs.
func (s *session) spawn(ctx context.Context) error {
	w, err := s.workspace()
	if err != nil {
		return err
	}
	program, err := helloProgram()
	if err != nil {
		return err
	}
	hello := filepath.Join(w.path, "hello")
	if err := os.WriteFile(hello, program, 0o700); err != nil {
		return err
	}
	if err := s.starts(ctx, "spawn.hello", hello); err != nil {
		return err
	}
	n := threads()
	var mu sync.Mutex
	var fault error
	if _, err := s.measure(ctx, "spawn.all", probe{params: map[string]string{"threads": strconv.Itoa(n)}, sample: func(ctx context.Context, d time.Duration) (float64, error) {
		v := rate(ctx, d, n, func(int) float64 {
			if _, _, err := start(hello); err != nil {
				mu.Lock()
				fault = err
				mu.Unlock()
				return 0
			}
			return 1
		})
		return v, fault
	}}); err != nil {
		return err
	}
	s.boot()
	return s.spawnGo(ctx, w)
}

// spawnGo builds hello world with the Go that is installed, as the toolchain of the
// distribution is part of what people feel.
func (s *session) spawnGo(ctx context.Context, w *Workspace) error {
	const name = "spawn.go"
	if _, err := exec.LookPath("go"); err != nil {
		s.skip(Skip{Name: name, Reason: "no Go is installed"})
		return nil
	}
	if !s.pace.cold || !s.wanted(name) {
		s.skip(Skip{Name: name, Reason: onlyFull})
		return nil
	}
	g, err := newGoBuild(w, "hello.go", map[string]string{"main.go": helloSource, "go.mod": "module hello\n\ngo 1.18\n"})
	if err != nil {
		return err
	}
	if _, err := g.build(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.skip(Skip{Name: name, Reason: err.Error()})
		return nil
	}
	return s.starts(ctx, name, g.binary)
}

const helloSource = `package main

import "fmt"

func main() { fmt.Println("hello") }
`

// starts measures one start after the other: wall time in ms, with user and system time
// beside it.
func (s *session) starts(ctx context.Context, name, program string) error {
	h := &histogram{}
	var user, sys []float64
	_, err := s.measure(ctx, name, probe{lat: h, unit: "ms", params: map[string]string{"starts": strconv.Itoa(s.pace.spawns)},
		warmed: func() { user, sys = nil, nil },
		sample: func(ctx context.Context, _ time.Duration) (float64, error) {
			one := &histogram{}
			var u, k time.Duration
			for range s.pace.spawns {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				at := time.Now()
				du, dk, err := start(program)
				if err != nil {
					return 0, err
				}
				one.add(time.Since(at))
				u, k = u+du, k+dk
			}
			h.merge(one)
			user = append(user, u.Seconds()*1000/float64(s.pace.spawns))
			sys = append(sys, k.Seconds()*1000/float64(s.pace.spawns))
			return one.quantile(.5) / 1e6, nil
		},
		finish: func(r *Result) {
			r.Also = append(r.Also, Also{"user", Median(user), "ms"}, Also{"user_mad", MAD(user), "ms"}, Also{"sys", Median(sys), "ms"}, Also{"sys_mad", MAD(sys), "ms"})
			if r.Median > 0 {
				r.Also = append(r.Also, Also{"per_second", 1000 / r.Median, "/s"})
			}
		}})
	return err
}

// start runs a program to its end with its output thrown away, and returns its processor time.
func start(program string) (user, sys time.Duration, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer null.Close()
	p, err := os.StartProcess(program, []string{program}, &os.ProcAttr{Files: []*os.File{null, null, null}, Env: []string{},
		Sys: &syscall.SysProcAttr{}})
	if err != nil {
		return 0, 0, err
	}
	st, err := p.Wait()
	if err != nil {
		return 0, 0, err
	}
	if !st.Success() {
		return 0, 0, fmt.Errorf("%s: %s", filepath.Base(program), st)
	}
	return st.UserTime(), st.SystemTime(), nil
}
