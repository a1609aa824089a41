package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// compile measures compilers on bundled sources.
func (s *session) compile(ctx context.Context) error {
	source := goSource()
	if _, err := s.measure(ctx, "compile.types", probe{sample: func(context.Context, time.Duration) (float64, error) {
		at := time.Now()
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, "ballast.go", source, 0)
		if err != nil {
			return 0, err
		}
		config := types.Config{}
		_, err = config.Check("ballast", set, []*ast.File{file}, nil)
		return milliseconds(time.Since(at)), err
	}}); err != nil {
		return err
	}
	w, err := s.workspace()
	if err != nil {
		return err
	}
	if err := s.compileGo(ctx, w, source); err != nil {
		return err
	}
	return s.compileC(ctx, w)
}

// onlyFull is why a quick run leaves out whole builds: the first one compiles the standard library.
const onlyFull = "compiles the standard library first, which takes minutes on a small machine: only with --profile full"

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// compileGo measures the installed Go: the compiler alone, hello, and whole builds.
func (s *session) compileGo(ctx context.Context, w *Workspace, source []byte) error {
	if _, err := exec.LookPath("go"); err != nil {
		for _, name := range []string{"compile.go", "compile.go.run", "compile.go.cold", "compile.go.warm"} {
			s.skip(Skip{Name: name, Reason: "no Go is installed"})
		}
		return nil
	}
	file := filepath.Join(w.path, "ballast.go")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return err
	}
	tool := toolchainHash(firstLine(ctx, "go", "tool", "-n", "compile"))
	alone := func(ctx context.Context) (cost, error) {
		return runTimed(ctx, w, []string{"GOTOOLCHAIN=local", "GOMAXPROCS=1"}, "go", "tool", "compile", "-c=1", "-p", "ballast", "-o", filepath.Join(w.path, "ballast.o"), file)
	}
	if err := s.builds(ctx, "compile.go", map[string]string{"toolchain": s.host.GoToolchain, "compiler": tool}, alone); err != nil {
		return err
	}
	if !s.pace.cold {
		for _, name := range []string{"compile.go.run", "compile.go.cold", "compile.go.warm"} {
			s.skip(Skip{Name: name, Reason: onlyFull})
		}
		return nil
	}
	hello, err := newGoBuild(w, "run", map[string]string{"main.go": helloSource, "go.mod": "module hello\n\ngo 1.18\n"})
	if err != nil {
		return err
	}
	toolchain := map[string]string{"toolchain": s.host.GoToolchain}
	if err := s.builds(ctx, "compile.go.run", toolchain, func(ctx context.Context) (cost, error) {
		c, err := hello.touch(ctx)
		if err != nil {
			return c, err
		}
		ran, err := runTimed(ctx, w, nil, hello.binary)
		return c.plus(ran), err
	}); err != nil {
		return err
	}
	program, err := newGoBuild(w, "program", goProgram())
	if err != nil {
		return err
	}
	if err := s.builds(ctx, "compile.go.cold", toolchain, program.cold); err != nil {
		return err
	}
	return s.builds(ctx, "compile.go.warm", toolchain, program.touch)
}

func (s *session) compileC(ctx context.Context, w *Workspace) error {
	cc := cCompiler()
	if cc == "" {
		s.skip(Skip{Name: "compile.c", Reason: "no C compiler is installed"})
		return nil
	}
	file := filepath.Join(w.path, "ballast.c")
	if err := os.WriteFile(file, cSource(), 0o600); err != nil {
		return err
	}
	path, err := exec.LookPath(cc)
	if err != nil {
		return err
	}
	// The flags are part of the measurement: warnings alone change the time.
	return s.builds(ctx, "compile.c", map[string]string{"toolchain": s.host.CCompiler, "compiler": toolchainHash(path), "flags": "-std=gnu99 -O2 -w -c"}, func(ctx context.Context) (cost, error) {
		return runTimed(ctx, w, nil, cc, "-std=gnu99", "-O2", "-w", "-c", "-o", filepath.Join(w.path, "ballast.c.o"), file)
	})
}

// builds measures a build in ms of wall time, with user and system time beside it.
func (s *session) builds(ctx context.Context, name string, params map[string]string, once func(context.Context) (cost, error)) error {
	var user, sys []float64
	_, err := s.measure(ctx, name, probe{params: params, crowded: true,
		warmed: func() { user, sys = nil, nil },
		sample: func(ctx context.Context, _ time.Duration) (float64, error) {
			c, err := once(ctx)
			user, sys = append(user, milliseconds(c.user)), append(sys, milliseconds(c.sys))
			return milliseconds(c.wall), err
		},
		finish: func(r *Result) {
			u, k := Median(user), Median(sys)
			r.Also = append(r.Also, Also{"user", u, "ms"}, Also{"sys", k, "ms"}, Also{"cpu", u + k, "ms"})
		}})
	return err
}

// cost is what a command took.
type cost struct{ wall, user, sys time.Duration }

func (c cost) plus(d cost) cost { return cost{c.wall + d.wall, c.user + d.user, c.sys + d.sys} }

// buildDeadline ends a compiler that hangs.
const buildDeadline = 15 * time.Minute

// runTimed runs a command in the workspace, in a process group of its own that dies with
// ctx or with this process.
func runTimed(ctx context.Context, w *Workspace, env []string, name string, args ...string) (cost, error) {
	return runTimedIn(ctx, w.path, env, name, args...)
}

func runTimedIn(ctx context.Context, dir string, env []string, name string, args ...string) (cost, error) {
	ctx, cancel := context.WithTimeout(ctx, buildDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	ownGroup(cmd)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	at := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(at)}
	if cmd.ProcessState != nil {
		c.user, c.sys = cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
	}
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
		return c, fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return c, nil
}

// ownGroup lets a command and what it starts end together.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
}

// toolchainHash tells compilers apart that call themselves the same.
func toolchainHash(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// goBuild is a Go module in the workspace with a build cache of its own.
type goBuild struct {
	dir, cache, binary string
	env                []string
	main               string
	changes            int
}

func newGoBuild(w *Workspace, name string, files map[string]string) (*goBuild, error) {
	g := &goBuild{dir: filepath.Join(w.path, name), cache: filepath.Join(w.path, "cache"), main: files["main.go"]}
	g.binary = filepath.Join(g.dir, "program")
	g.env = []string{"GOCACHE=" + g.cache, "GOTOOLCHAIN=local", "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOMODCACHE=" + filepath.Join(w.path, "mod"), "CGO_ENABLED=0", "GOTELEMETRY=off"}
	for path, text := range files {
		full := filepath.Join(g.dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(text), 0o600)); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *goBuild) build(ctx context.Context) (cost, error) {
	return runTimedIn(ctx, g.dir, g.env, "go", "build", "-o", g.binary, ".")
}

// touch changes a line of main and builds.
func (g *goBuild) touch(ctx context.Context) (cost, error) {
	g.changes++
	text := g.main + fmt.Sprintf("\nconst changed = %d\n", g.changes)
	if err := os.WriteFile(filepath.Join(g.dir, "main.go"), []byte(text), 0o600); err != nil {
		return cost{}, err
	}
	return g.build(ctx)
}

// cold empties the cache, which is not timed, and builds.
func (g *goBuild) cold(ctx context.Context) (cost, error) {
	if err := os.RemoveAll(g.cache); err != nil {
		return cost{}, err
	}
	return g.build(ctx)
}
