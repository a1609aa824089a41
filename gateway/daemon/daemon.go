package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
)

// Options say how the process is to run. Zero times mean the defaults.
type Options struct {
	Source  Source
	Control control.Dir
	Ledger  *ledger.Ledger
	Version string
	Log     *slog.Logger

	Program string   // what an upgrade starts: this program's path, by which a newer one can be found
	Args    []string // with these arguments

	Announce time.Duration // how long connections are told that they will be closed; default 300 ms
	Drain    time.Duration // how long running requests may take at stop and upgrade; default 10 s
	Takeover time.Duration // how long a successor may take until it serves; default 30 s
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{{&o.Announce, 300 * time.Millisecond}, {&o.Drain, ledger.Defaults().Drain}, {&o.Takeover, 30 * time.Second}} {
		if *d.to == 0 {
			*d.to = d.value
		}
	}
	return o
}

// Daemon is a running gateway. Its methods are those of control.Daemon.
type Daemon struct {
	Options
	self    life.Process
	started time.Time
	sockets *life.Sockets
	gate    *gate
	done    chan struct{} // closed after a hand-over

	changing sync.Mutex // one reload or upgrade at a time; state and loaded change only under both

	mu     sync.Mutex // guards the rest
	state  string
	loaded time.Time
	names  []string // the hosts of the configuration
}

var _ control.Daemon = (*Daemon)(nil)

// Run serves until the context ends or a successor has taken over, then drains. What it returns is why it could not go on.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	self, err := life.Self()
	if err != nil {
		return err
	}
	sockets, err := life.NewSockets()
	if err != nil {
		return err
	}
	d := &Daemon{Options: o, self: self, started: time.Now(), sockets: sockets, gate: &gate{}, done: make(chan struct{}), state: control.Serving}
	d.gate.used = sockets.Used
	register(sockets, d.gate, d.Ledger)
	queued := life.HasPredecessor() || sockets.Passed() > 0
	if queued {
		sockets.Pause() // until the certificates are there; the predecessor serves meanwhile, or clients wait in the queue
	}
	if _, err := d.load(); err != nil {
		return errors.Join(err, sockets.CloseUnclaimed())
	}
	if queued {
		awaitCertificates(ctx, d.names, certificateLimit)
		if err := sockets.Resume(); err != nil {
			return err
		}
	}
	if err := sockets.CloseUnclaimed(); err != nil {
		return err
	}
	stopControl, err := d.serveControl()
	if err != nil {
		return errors.Join(err, caddy.Stop())
	}
	took, err := life.TellReady()
	if err == nil && !took { // a predecessor tells systemd of its successor
		err = life.Notify("READY=1")
	}
	if err != nil {
		return errors.Join(err, caddy.Stop(), stopControl())
	}
	d.Log.Info("the gateway serves", "code", code.LifeServing, "pid", self.PID, "addresses", strings.Join(sockets.Addresses(), " "), "config", o.Source.Name(), "took_over", took)
	select {
	case <-ctx.Done():
		err = life.Notify("STOPPING=1")
	case <-d.done:
	}
	return errors.Join(err, d.drain(), stopControl())
}

// serveControl answers on the control socket until the returned function is called.
func (d *Daemon) serveControl() (stop func() error, err error) {
	ln, err := d.Control.Listen(d.self)
	if err != nil {
		return nil, fmt.Errorf("control socket in %s: %w", d.Control, err)
	}
	server := &http.Server{Handler: control.Handler(d.Ledger, d, metrics()), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return errors.Join(err, d.Control.Forget(d.self))
	}
	if err := d.Control.MakeCurrent(d.self); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// load reads the configuration and lets Caddy change over to it.
func (d *Daemon) load() (control.Reloaded, error) {
	began := time.Now()
	config, warnings, err := d.Source.read()
	if err == nil {
		config, err = finish(config, d.Drain)
	}
	if err == nil {
		err = caddy.Load(config, false)
	}
	if err != nil {
		err = locate(err, d.Source)
		d.Log.Error("configuration refused", "code", code.ConfigRefused, "config", d.Source.Name(), "error", err.Error())
		return control.Reloaded{}, err
	}
	d.mu.Lock()
	d.loaded, d.names = time.Now(), hostNames(config)
	d.mu.Unlock()
	for _, w := range warnings {
		d.Log.Warn(w, "code", code.ConfigLoaded)
	}
	return control.Reloaded{Config: d.Source.Name(), Changed: true, Took: time.Since(began), Warnings: warnings}, nil
}

// Reload is control.Daemon's.
func (d *Daemon) Reload(ctx context.Context) (control.Reloaded, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.Status().State != control.Serving {
		return control.Reloaded{}, errors.New("this process is draining; it takes no configuration any more")
	}
	if err := Check(d.Source); err != nil { // what is already known to be bad need not trouble any connection
		err = locate(err, d.Source)
		d.Log.Error("configuration refused, the one before goes on", "code", code.ConfigRefused, "config", d.Source.Name(), "error", err.Error())
		return control.Reloaded{}, err
	}
	back := d.gate.part()
	defer back()
	if err := pause(ctx, d.Announce); err != nil {
		return control.Reloaded{}, err
	}
	// The servers of the old configuration drop a connection whose first request is still to come: let none be in their hands.
	d.sockets.Pause()
	d.settle(ctx, freshLimit)
	closed := d.sockets.Change()
	done, err := d.load()
	if err == nil {
		// Caddy only begins to close the old listeners; until they are, they would take what the new ones should.
		limited, cancel := context.WithTimeout(ctx, freshLimit)
		closed(limited)
		cancel()
	}
	err = errors.Join(err, d.sockets.Resume())
	if err == nil {
		d.Log.Info("configuration loaded", "code", code.ConfigLoaded, "config", done.Config, "seconds", done.Took.Seconds())
	}
	return done, err
}

// settle waits until each connection that is younger than the limit has had its first request, so at most for the limit.
func (d *Daemon) settle(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	const step = 5 * time.Millisecond
	for d.sockets.Fresh(limit) > 0 && pause(ctx, step) == nil {
	}
}

// Check adapts a configuration and looks whether it is complete, without provisioning or starting anything.
func Check(s Source) error {
	config, _, err := s.read()
	if err == nil {
		_, err = finish(config, time.Second)
	}
	return err
}

// Validate goes further than Check: it lets every module of the configuration set itself up, without listening. It is
// for processes that serve nothing, since Caddy's modules share state.
func Validate(s Source) (warnings []string, err error) {
	register(nil, &gate{}, ledger.New(0)) // before reading: the directives belong to it
	config, warnings, err := s.read()
	if err != nil {
		return warnings, locate(err, s)
	}
	config, err = finish(config, time.Second)
	if err != nil {
		return warnings, err
	}
	var parsed *caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &parsed); err != nil {
		return warnings, locate(err, s)
	}
	return warnings, locate(caddy.Validate(parsed), s)
}

// pause waits for d, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Upgrade is control.Daemon's.
func (d *Daemon) Upgrade(ctx context.Context, program string) (life.Process, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.Status().State != control.Serving {
		return life.Process{}, errors.New("this process has handed over already and is draining")
	}
	if program == "" {
		program = d.Program
	} else if !filepath.IsAbs(program) {
		return life.Process{}, fmt.Errorf("%q: the program needs an absolute path", program)
	}
	environ := append(os.Environ(), fmt.Sprintf("%s=%d", baseVariable, d.Ledger.Last()+idGap))
	p, err := d.sockets.HandOver(ctx, life.Successor{Path: program, Args: d.Args, Limit: d.Takeover,
		Steps: []life.Step{{Signal: 15, Limit: 2 * time.Second}, {Signal: 9, Limit: 10 * time.Second}}, Output: os.Stderr, Environ: environ})
	if err != nil {
		d.Log.Error("no hand-over", "code", code.LifeNoSuccessor, "program", program, "error", err.Error())
		// It may have made itself the current one before it failed.
		return p, errors.Join(err, d.Control.MakeCurrent(d.self))
	}
	d.Log.Info("handed over", "code", code.LifeHandedOver, "successor", p.PID, "program", program)
	d.mu.Lock()
	d.state = control.Draining
	d.mu.Unlock()
	err = life.Notify(fmt.Sprintf("MAINPID=%d", p.PID))
	close(d.done)
	return p, err
}

// freshLimit is how long a reload and a process that drains wait for the first requests of connections: a handshake and a request
// from far away, or on a busy machine. New connections wait in the kernel's queue meanwhile.
const freshLimit = 2 * time.Second

// drain lets what runs end, up to the limit, and closes the rest.
func (d *Daemon) drain() error {
	d.mu.Lock()
	d.state = control.Draining
	d.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), d.Drain)
	defer cancel()
	d.gate.part()
	err := d.sockets.StopAccepting()
	d.Log.Info("draining", "code", code.LifeDraining, "limit", d.Drain.String(), "connections", d.sockets.Live())
	if waitErr := pause(ctx, d.Announce); waitErr == nil && d.sockets.Live() > 0 {
		d.settle(ctx, freshLimit)
		d.gate.wait(ctx)
	}
	err = errors.Join(err, caddy.Stop()) // closes what is idle
	last, cancelLast := context.WithTimeout(context.Background(), max(time.Second, time.Until(began.Add(d.Drain))))
	defer cancelLast()
	cut := d.sockets.Drain(last)
	if cut > 0 {
		d.Log.Warn("connections were cut at the drain limit", "code", code.Drain, "limit", d.Drain.String(), "cut", cut)
	}
	d.Log.Info("drained", "code", code.LifeDraining, "seconds", time.Since(began).Seconds())
	return err
}

// Status is control.Daemon's.
func (d *Daemon) Status() control.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return control.Status{Process: d.self, PIDMax: life.PIDMax(), Version: d.Version, Started: d.started, State: d.state, Config: d.Source.Name(), Loaded: d.loaded,
		Addresses: d.sockets.Addresses()}
}
