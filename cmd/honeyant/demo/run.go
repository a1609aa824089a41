package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/honeyant/honeyant/admin"
)

// Options of a run.
type Options struct {
	Program string // path of the honeyant program
	Nodes   int    // at least 3
	From    string // directory to copy in; "" = the Go sources of this machine
	Keep    bool   // leave the directories for a look
	Show    *Show  // where the story is told
}

// Result is what a run found. OK only if all held.
type Result struct {
	Files        int     `json:"files"`
	Bytes        int64   `json:"bytes"`
	MBPerS       float64 `json:"mb_per_s"`
	StallSeconds float64 `json:"stall_seconds"` // the longest that one file had to wait
	HealSeconds  float64 `json:"heal_seconds"`
	LostFiles    int     `json:"lost_files"`
	LostBytes    int64   `json:"lost_bytes"`
	Errors       int     `json:"errors"`
	FUSE         bool    `json:"fuse"`
	OK           bool    `json:"ok"`
}

// run is one demo in progress.
type run struct {
	Options
	*colony
	files []source
	res   Result
	spent time.Duration // copying
	sent  int64
}

// Run tells the whole story. Whatever happens, daemons are stopped and mounts taken away.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Nodes < 3 {
		return Result{}, errors.New("the demo needs 3 nodes or more: with fewer nothing serves on after a death")
	}
	dir, err := os.MkdirTemp("", "honeyant-demo-")
	if err != nil {
		return Result{}, err
	}
	fuse, why := canMount()
	if !fuse {
		o.Show.Say("No mounts here: %s. The same is done through the volume without the kernel.", why)
	}
	c, err := newColony(o.Program, dir, o.Nodes, fuse)
	if err != nil {
		return Result{}, err
	}
	r := &run{Options: o, colony: c, res: Result{FUSE: fuse}}
	defer func() {
		r.stop()
		if o.Keep {
			o.Show.Say("Kept: %s (one directory and one log per node)", dir)
		} else {
			os.RemoveAll(dir)
		}
	}()
	if err := r.story(ctx); err != nil {
		if !o.Keep && !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w\n%s", err, r.lastLog())
		}
		return r.res, err
	}
	r.res.OK = r.res.LostFiles == 0 && r.res.Errors == 0
	return r.res, nil
}

func canMount() (bool, string) {
	if os.Geteuid() != 0 {
		return false, "mounting needs root"
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return false, "there is no usable /dev/fuse (" + err.Error() + "); try: modprobe fuse"
	}
	f.Close()
	return true, ""
}

func (r *run) story(ctx context.Context) error {
	for _, act := range []func(context.Context) error{r.build, r.copyAndCompare, r.killStorage, r.killLeader, r.finale} {
		if err := act(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// build makes the colony: init, join, serve, mount.
func (r *run) build(ctx context.Context) error {
	from := r.From
	if from == "" {
		from = defaultSource()
	}
	files, bytes, cut, err := collect(from)
	if err != nil {
		return err
	}
	r.files, r.res.Files, r.res.Bytes = files, len(files), bytes
	some := ""
	if cut {
		some = " (a part of it; it has more)"
	}
	r.Show.Say("Source: %s: %d files, %.1f MB%s", from, len(files), float64(bytes)/1e6, some)
	r.Show.Step("Building a colony of %d: each node a process with an address and a directory of its own", r.Nodes)
	first := r.nodes[0]
	place := func(d *daemon) []string {
		return []string{"--listen", d.address, "--advertise", d.address, "--name", d.name, "--capacity", "3GiB", "--memory", "96MiB"}
	}
	var made struct{ Join admin.Join }
	if err := r.call(ctx, first, &made, append([]string{"init"}, place(first)...)...); err != nil {
		return err
	}
	for i, d := range r.nodes {
		if i > 0 {
			args := append([]string{"join", made.Join.Address, "--token", made.Join.Token}, place(d)...)
			if err := r.call(ctx, d, nil, args...); err != nil {
				return err
			}
		}
		if err := quickOut(d.dir); err != nil {
			return err
		}
		if err := r.start(ctx, d); err != nil {
			return err
		}
		if r.fuse {
			if err := r.call(ctx, d, nil, "mount", d.mount); err != nil {
				return err
			}
		}
	}
	if err := r.settled(ctx); err != nil {
		return err
	}
	r.Show.Done("%d nodes up, %d metadata voters, leader %s", r.Nodes, min(3, r.Nodes), r.leader(ctx))
	return nil
}

// settled waits until all nodes that run are up and the quorum is complete.
func (r *run) settled(ctx context.Context) error {
	return wait(ctx, time.Minute, "all nodes to be up and three voters", func() bool {
		s, err := r.anyStatus(ctx)
		if err != nil || s.Leader == "" {
			return false
		}
		up, voters := 0, 0
		for _, n := range s.Nodes {
			if n.State == "up" {
				up++
				if n.Voter {
					voters++
				}
			}
		}
		return up == r.Nodes && voters >= 3
	})
}

func (r *run) leader(ctx context.Context) string {
	s, _ := r.anyStatus(ctx)
	return s.Leader
}

// copyAndCompare copies the first half through node 1 and reads it through node 2.
func (r *run) copyAndCompare(ctx context.Context) error {
	half := r.files[:len(r.files)/2]
	r.Show.Step("Copying %d files in through %s", len(half), r.nodes[0].name)
	r.copyIn(ctx, half, r.nodes[0], nil)
	r.Show.Done("%.1f MB/s", r.rate())
	r.Show.Step("Reading them through %s and comparing SHA-256", r.nodes[1].name)
	lost := r.compare(ctx, half, r.nodes[1])
	r.Show.Done("%d of %d are equal", len(half)-lost, len(half))
	return nil
}

// killStorage kills the last node in the middle of a copy; the copy must go on.
func (r *run) killStorage(ctx context.Context) error {
	third := r.files[len(r.files)/2 : len(r.files)*3/4]
	// The victim is neither the leader (its turn comes) nor the node that copies.
	via, victim := r.nodes[0], r.nodes[r.Nodes-1]
	if r.byID(r.leader(ctx)) == victim {
		victim = r.nodes[r.Nodes-2]
	}
	r.Show.Step("Copying %d more, and killing %s (kill -9) in the middle", len(third), victim.name)
	r.copyIn(ctx, third, via, victim.kill)
	r.Show.Done("the copy went on; longest wait for one file %.1f s", r.res.StallSeconds)
	return r.watchHeal(ctx, victim)
}

// watchHeal shows what status says and waits until all copies are there again.
func (r *run) watchHeal(ctx context.Context, dead *daemon) error {
	r.Show.Step("Waiting until the colony has healed without %s", dead.name)
	began, said := time.Now(), ""
	err := wait(ctx, 5*time.Minute, "the heal", func() bool {
		s, err := r.anyStatus(ctx)
		if err != nil {
			return false
		}
		if len(s.Summary) > 0 && s.Summary[0] != said {
			said = s.Summary[0]
			r.Show.Note("status: %s: %s", s.Health, said)
		}
		for _, n := range s.Nodes {
			if n.ID == dead.name && n.State == "out" {
				return s.Heal.Pending == 0 && s.Chunks.UnderReplicated == 0
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	r.res.HealSeconds = time.Since(began).Seconds()
	r.Show.Done("every chunk has its copies again after %.1f s", r.res.HealSeconds)
	r.Show.Step("Starting %s again", dead.name)
	if err := r.start(ctx, dead); err != nil {
		return err
	}
	if err := r.settled(ctx); err != nil {
		return err
	}
	r.Show.Done("it is back")
	return nil
}

// killLeader kills the metadata leader while another node copies.
func (r *run) killLeader(ctx context.Context) error {
	rest := r.files[len(r.files)*3/4:]
	leader := r.byID(r.leader(ctx))
	if leader == nil {
		return errors.New("the colony has no leader")
	}
	via := r.nodes[0]
	if via == leader {
		via = r.nodes[1]
	}
	r.Show.Step("Copying the last %d through %s, and killing the leader, %s (kill -9), in the middle", len(rest), via.name, leader.name)
	r.copyIn(ctx, rest, via, leader.kill)
	r.Show.Done("the copy went on under leader %s; longest wait for one file %.1f s", r.leader(ctx), r.res.StallSeconds)
	return nil
}

// finale compares everything through every node that is left.
func (r *run) finale(ctx context.Context) error {
	for _, d := range r.nodes {
		if !d.running() {
			continue
		}
		r.Show.Step("Final comparison of all %d files through %s", len(r.files), d.name)
		lost := r.compare(ctx, r.files, d)
		r.Show.Done("%d of %d are equal", len(r.files)-lost, len(r.files))
	}
	r.res.MBPerS = r.rate()
	return nil
}

func (r *run) rate() float64 {
	if r.spent <= 0 {
		return 0
	}
	return float64(r.sent) / 1e6 / r.spent.Seconds()
}

// copyIn copies files through a node; strike is called in the middle. A file that fails
// counts as an error, and the copy goes on.
func (r *run) copyIn(ctx context.Context, files []source, via *daemon, strike func()) {
	t := r.target(via)
	bar := r.Show.Bar(len(files))
	defer bar.End()
	began := time.Now()
	struck := make(chan struct{})
	for i, f := range files {
		if ctx.Err() != nil {
			break
		}
		if strike != nil && i == len(files)/3 {
			go func() {
				defer close(struck)
				strike()
			}()
		}
		data, err := os.ReadFile(f.path)
		one := time.Now()
		if err == nil {
			err = t.put(ctx, f.rel, data)
		}
		r.res.StallSeconds = max(r.res.StallSeconds, time.Since(one).Seconds())
		if err != nil {
			r.res.Errors++
			r.Show.Note("%s: %v", f.rel, err)
		}
		r.sent += int64(len(data))
		bar.Add(1)
	}
	r.spent += time.Since(began)
	if strike != nil && ctx.Err() == nil {
		<-struck
	}
}

// compare reads files through a node and counts those that are not what went in.
func (r *run) compare(ctx context.Context, files []source, via *daemon) (lost int) {
	t := r.target(via)
	bar := r.Show.Bar(len(files))
	defer bar.End()
	for _, f := range files {
		if ctx.Err() != nil {
			return lost
		}
		sum, err := t.sum(ctx, f.rel)
		if err != nil || sum != f.sum {
			lost++
			r.res.LostFiles++
			r.res.LostBytes += f.size
			if err == nil {
				err = errors.New("other bytes than went in")
			}
			r.Show.Note("%s: %v", f.rel, err)
		}
		bar.Add(1)
	}
	return lost
}

// lastLog is the end of each daemon's log, for a run that failed.
func (r *run) lastLog() string {
	text := ""
	for _, d := range r.nodes {
		data, err := os.ReadFile(filepath.Join(r.dir, d.name+".log"))
		if err == nil && len(data) > 0 {
			text += "--- log of " + d.name + "\n" + string(data[max(0, len(data)-1500):])
		}
	}
	return text
}
