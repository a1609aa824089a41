package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
)

// Options of a copy. Zero values mean the defaults named.
type Options struct {
	Sources   []string // as ParseLocation reads them
	Target    string
	Recursive bool // copy directories
	Exact     bool // the target is the copy itself, not a directory to put it into
	DryRun    bool // change nothing, tell what would be copied
	Unchecked bool // do not read back what was written

	Jobs        int           // files or parts at once (4 per core, 4 to 32)
	Compress    Compression   // between machines (auto)
	Connections int           // ssh connections to each host (1)
	SSH         []string      // the ssh command and its options ("ssh")
	Remote      string        // the honeyant command of the other machine ("honeyant")
	SFTP        bool          // do not ask for a honeyant there
	Silence     time.Duration // a machine that says nothing for so long is gone (1 min)
	Log         *slog.Logger  // default: nothing is logged
}

func (o Options) withDefaults() (Options, error) {
	if o.Jobs == 0 {
		o.Jobs = min(max(4*runtime.GOMAXPROCS(0), 4), 32)
	}
	if o.Connections == 0 {
		o.Connections = 1
	}
	if o.Compress == "" {
		o.Compress = CompressAuto
	}
	if len(o.SSH) == 0 {
		o.SSH = []string{"ssh"}
	}
	if o.Remote == "" {
		o.Remote = "honeyant"
	}
	if o.Silence == 0 {
		o.Silence = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var wrong []error
	if len(o.Sources) == 0 {
		wrong = append(wrong, errors.New("nothing to copy"))
	}
	if o.Jobs < 1 || o.Jobs > 256 {
		wrong = append(wrong, fmt.Errorf("%d jobs: 1 to 256", o.Jobs))
	}
	if o.Connections < 1 || o.Connections > 16 {
		wrong = append(wrong, fmt.Errorf("%d connections: 1 to 16", o.Connections))
	}
	switch o.Compress {
	case CompressAuto, CompressZstd, CompressOff:
	default:
		wrong = append(wrong, fmt.Errorf("compression %q: auto, zstd or off", o.Compress))
	}
	if o.Exact && len(o.Sources) > 1 {
		wrong = append(wrong, errors.New("-T takes one source"))
	}
	if err := errors.Join(wrong...); err != nil {
		return o, &refused{err}
	}
	return o, nil
}

// Copier does one copy. Progress may be called while Run runs.
type Copier struct {
	o     Options
	tally tally
	ends  map[string]end            // by host; "" is this machine
	did   func(change, path string) // see localTarget
}

// New checks the options. Errors: Invalid.
func New(o Options) (*Copier, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Copier{o: o, ends: map[string]end{}}, nil
}

// Progress is how far the copy is. Safe for concurrent use.
func (c *Copier) Progress() Progress { return c.tally.progress(time.Now()) }

// end is a machine on which trees are opened.
type end interface {
	// look tells what path stands for, following a link to a directory, and the mark of a
	// tree that is being copied there. ok is false if there is nothing.
	look(ctx context.Context, path string) (l look, err error)
	source(ctx context.Context, path string) (s source, root Entry, err error)
	// target opens path, or its directory if path is to be made; root is the path in it.
	target(ctx context.Context, path string, verify bool) (t target, root string, err error)
	// way says how the machine is reached: local, honeyant, sftp.
	way() string
	close() error
}

// look is what an end knows of a path.
type look struct {
	exists bool
	entry  Entry
	mark   string // of a tree whose copying is under way
}

// Run copies. The report is complete even if there is an error. Errors: Invalid (refused,
// nothing was changed), Unavailable (a machine can not be reached, or was lost), NoSpace;
// Other if paths failed, each of which is in the report.
func (c *Copier) Run(ctx context.Context) (*Report, error) {
	start := time.Now()
	r := &Report{Sources: c.o.Sources, Target: c.o.Target, DryRun: c.o.DryRun, Verified: !c.o.Unchecked && !c.o.DryRun}
	err := c.run(ctx)
	c.tally.report(r)
	r.Seconds = time.Since(start).Seconds()
	if began := c.tally.copying.Load(); began != 0 {
		r.MBps = float64(r.Moved) / 1e6 / max(time.Since(time.Unix(0, began)).Seconds(), 1e-6)
	}
	r.Way = "local"
	for host, e := range c.ends {
		if host != "" {
			r.Way = e.way()
		}
		e.close()
	}
	r.Compression = c.tally.compression(r.Way, c.o.Compress)
	if err == nil && r.Failed > 0 {
		err = honeyant.E("copy", honeyant.Other, "", fmt.Errorf("%d of %d names were not copied", r.Failed, c.tally.total.Load()))
	}
	r.Verified = r.Verified && err == nil
	return r, err
}

// endOf connects to a host, once.
func (c *Copier) endOf(ctx context.Context, l Location) (end, error) {
	if e := c.ends[l.Host]; e != nil {
		return e, nil
	}
	var e end = &localEnd{log: c.o.Log, did: c.did}
	if l.Host != "" {
		var err error
		if e, err = dialHost(ctx, l.Host, &c.o, &c.tally); err != nil {
			return nil, err
		}
	}
	c.ends[l.Host] = e
	return e, nil
}

func (c *Copier) run(ctx context.Context) error {
	target, err := ParseLocation(c.o.Target)
	if err != nil {
		return err
	}
	to, err := c.endOf(ctx, target)
	if err != nil {
		return err
	}
	there, err := to.look(ctx, target.Path)
	if err != nil {
		return err
	}
	if isDir := there.exists && there.entry.Kind == Dir; !isDir && (len(c.o.Sources) > 1 || strings.HasSuffix(target.Path, "/") && there.exists) {
		return refusal("%s is no directory", target)
	}
	var jobs []*job
	defer func() {
		for _, j := range jobs {
			j.close()
		}
	}()
	for _, text := range c.o.Sources {
		j, err := c.plan(ctx, text, target, there)
		if j != nil {
			jobs = append(jobs, j)
		}
		if err != nil {
			return err
		}
	}
	for _, j := range jobs {
		if err := j.survey(ctx); err != nil {
			return err
		}
	}
	c.tally.copying.Store(time.Now().UnixNano())
	for _, j := range jobs {
		if err := j.copy(ctx); err != nil {
			return err
		}
	}
	return nil
}

// plan opens a source and its target and refuses what can be refused without a change.
func (c *Copier) plan(ctx context.Context, text string, target Location, there look) (*job, error) {
	location, err := ParseLocation(text)
	if err != nil {
		return nil, err
	}
	from, err := c.endOf(ctx, location)
	if err != nil {
		return nil, err
	}
	src, root, err := from.source(ctx, location.Path)
	if err != nil {
		return nil, err
	}
	j := &job{c: c, from: location, src: src, root: root}
	if root.Kind == Dir && !c.o.Recursive {
		return j, refusal("%s is a directory: add -r", location)
	}
	into := there.exists && there.entry.Kind == Dir && !c.o.Exact && there.mark != location.String()
	j.to = target
	if into || strings.HasSuffix(target.Path, "/") && root.Kind != Dir {
		name, err := base(location.Path)
		if err != nil {
			return j, refusal("%w", err)
		}
		j.to.Path = strings.TrimRight(target.Path, "/") + "/" + name
		if there, err = c.ends[target.Host].look(ctx, j.to.Path); err != nil {
			return j, err
		}
	}
	j.existed, j.marked = there.exists, there.mark != ""
	if there.exists && there.entry.Kind == Dir && root.Kind != Dir {
		return j, refusal("%s is a directory, %s is none", j.to, location)
	}
	if there.exists && there.entry.Kind != Dir && root.Kind == Dir {
		return j, refusal("%s is a directory, %s is none", location, j.to)
	}
	if location.Host == "" && target.Host == "" {
		if err := refuseSame(location.Path, j.to.Path); err != nil {
			return j, err
		}
	}
	j.dst, j.dstRoot, err = c.ends[target.Host].target(ctx, j.to.Path, !c.o.Unchecked)
	return j, err
}

// probeName is a name that nobody else uses.
func probeName() string { return ourNames + "probe-" + rand.Text() }
