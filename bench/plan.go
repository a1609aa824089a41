package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/honeyant/honeyant"
)

// Use is what a measurement will do to the machine, estimated from above.
type Use struct {
	Group      string        `json:"group"`
	ReadBytes  int64         `json:"read_bytes"`
	WriteBytes int64         `json:"write_bytes"`
	DiskOps    int64         `json:"disk_operations"`
	NetBytes   int64         `json:"net_bytes"` // that leave the machine
	CPU        time.Duration `json:"cpu_ns"`    // processor time, all processors together
	Lasts      time.Duration `json:"lasts_ns"`
}

// Need is a program that a group wants.
type Need struct {
	Group   string `json:"group"`
	Program string `json:"program"` // "go", "cc", "ssh", "sshd"
	Why     string `json:"why"`
}

// Plan is what a run will do. Nothing has been measured or written when it is made.
type Plan struct {
	Groups    []string `json:"groups"`
	Profile   string   `json:"profile"`
	Directory string   `json:"directory"`
	FileBytes int64    `json:"file_bytes"` // of the test file, 0 if none is needed
	FreeBytes int64    `json:"free_bytes"`
	Uses      []Use    `json:"uses"`
	Total     Use      `json:"total"`
	// Missing are programs without which a part of a group that was not named is left out.
	Missing []Need `json:"missing,omitempty"`

	options Options
	named   bool // the groups were named by the user: all their programs must be there
}

// Tariff is what a metered machine costs. Zero is free.
type Tariff struct {
	PerGBOut      float64 // traffic that leaves the machine
	PerMillionOps float64 // disk operations
}

// Cost of the total use under a tariff, in the tariff's currency.
func (p *Plan) Cost(t Tariff) float64 {
	return float64(p.Total.NetBytes)/1e9*t.PerGBOut + float64(p.Total.DiskOps)/1e6*t.PerMillionOps
}

// MakePlan checks the options, the programs and the free space before anything is
// measured. Errors: Invalid for options, NotExist for missing programs of groups that were
// named (all of them in one message) or a missing directory, NoSpace, Permission.
func MakePlan(ctx context.Context, o Options) (*Plan, error) {
	const op = "bench.Plan"
	named := len(o.Groups) > 0
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	p := &Plan{Profile: o.Profile, Directory: o.Dir, options: o, named: named}
	for _, g := range Groups() { // in their order, once
		if slices.Contains(o.Groups, g) {
			p.Groups = append(p.Groups, g)
		}
	}
	p.options.Groups = p.Groups
	p.Missing = missing(p.Groups, o)
	if named && len(p.Missing) > 0 {
		lacks := []string{}
		for _, n := range p.Missing {
			lacks = append(lacks, fmt.Sprintf("%s (%s)", n.Program, n.Why))
		}
		return nil, honeyant.E(op, honeyant.NotExist, "", fmt.Errorf("missing: %s; nothing was measured; `honeyant doctor` tells the package lines", strings.Join(lacks, ", ")))
	}
	if err := p.fitDisk(); err != nil {
		return nil, err
	}
	for _, g := range p.Groups {
		u := p.use(g)
		u.Group = g
		if o.Gentle {
			u.Lasts *= 1 + gentleRest
		}
		p.Uses = append(p.Uses, u)
		p.Total.add(u)
	}
	p.Total.Group = "all"
	return p, ctx.Err()
}

func (u *Use) add(v Use) {
	u.ReadBytes += v.ReadBytes
	u.WriteBytes += v.WriteBytes
	u.DiskOps += v.DiskOps
	u.NetBytes += v.NetBytes
	u.CPU += v.CPU
	u.Lasts += v.Lasts
}

// missing lists the programs that the groups want and that are not there.
func missing(groups []string, o Options) (list []Need) {
	lacks := func(group, program, why string) {
		list = append(list, Need{Group: group, Program: program, Why: why})
	}
	for _, g := range groups {
		switch g {
		case "compile":
			if _, err := exec.LookPath("go"); err != nil {
				lacks(g, "go", "for the Go builds")
			}
			if cCompiler() == "" {
				lacks(g, "cc", "for the C program")
			}
		case "ssh":
			if _, err := exec.LookPath("ssh"); err != nil {
				lacks(g, "ssh", "the OpenSSH client")
			}
			if o.SSH == "" && sshdPath() == "" {
				lacks(g, "sshd", "the OpenSSH server, or name a host: honeyant bench ssh HOST")
			}
		}
	}
	return list
}

// fitDisk chooses the size of the test file.
func (p *Plan) fitDisk() error {
	const op = "bench.Plan"
	if !slices.ContainsFunc(p.Groups, func(g string) bool {
		return g == "disk" || g == "fs" || g == "burst" || g == "compile" || g == "spawn" || g == "ssh"
	}) {
		return nil
	}
	info, err := os.Stat(p.Directory)
	if err != nil {
		return honeyant.E(op, honeyant.KindOfSystem(err), p.Directory, err)
	}
	if !info.IsDir() {
		return honeyant.E(op, honeyant.NotDir, p.Directory, fmt.Errorf("measure in a directory: --in DIR"))
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(p.Directory, &fs); err != nil {
		return honeyant.E(op, honeyant.KindOfSystem(err), p.Directory, err)
	}
	if err := syscall.Access(p.Directory, 2); err != nil {
		return honeyant.E(op, honeyant.KindOfSystem(err), p.Directory, fmt.Errorf("nothing can be written there; choose another: --in DIR"))
	}
	p.FreeBytes = int64(fs.Bavail) * fs.Bsize
	if !slices.ContainsFunc(p.Groups, func(g string) bool { return g == "disk" || g == "fs" || g == "burst" }) {
		return nil
	}
	wanted := p.options.SizeBytes
	if wanted == 0 {
		wanted = p.options.pace().file
	}
	p.FileBytes, err = fitFile(wanted, p.FreeBytes)
	if err != nil {
		return honeyant.E(op, honeyant.NoSpace, p.Directory, fmt.Errorf("only %d MiB are free; at least %d are needed, because a run takes no more than a quarter", p.FreeBytes>>20, 4*minFile>>20))
	}
	return nil
}

// Upper bounds for estimates: what a fast disk and processor would do in the time.
const (
	guessDisk = 2 << 30 // bytes/s
	guessIOPS = 200_000
	slowDisk  = 100e6 // bytes/s, for the time that writing takes
)

// use estimates a group from above.
func (p *Plan) use(group string) Use {
	pc := p.options.pace()
	count := 0
	for _, s := range Catalogue() {
		if s.Group == group {
			count++
		}
	}
	each := func(sample time.Duration) time.Duration { return pc.warm + time.Duration(pc.repeats)*sample }
	times := func(n int, d time.Duration) time.Duration { return time.Duration(n) * d }
	cores := time.Duration(threads())
	switch group {
	case "cpu":
		lasts := times(12, each(pc.sample)) + each(pc.jitter)
		return Use{Lasts: lasts, CPU: lasts * (1 + cores) / 2}
	case "mem", "random", "codec", "tls":
		lasts := times(count, each(pc.sample))
		return Use{Lasts: lasts, CPU: lasts * cores}
	case "disk":
		wrote := p.FileBytes + min(int64(pc.repeats)*max(p.FileBytes, int64(p.writeLeast().Seconds()*guessDisk)), int64(each(p.writeLimit()).Seconds()*guessDisk))
		small := int64(each(pc.disk).Seconds() * guessIOPS)
		files := int64(pc.repeats*pc.files) * 3
		write := min(p.writeLimit(), time.Duration(float64(p.FileBytes)/slowDisk*float64(time.Second)))
		return Use{Lasts: each(write) + times(6, each(pc.disk)) + 2*time.Second, CPU: times(3, each(pc.disk)), WriteBytes: wrote + small*4096*5/4,
			ReadBytes: int64(each(pc.disk).Seconds()*guessDisk) + small*4096*9/8, DiskOps: 2*wrote>>20 + small*2 + small/4 + files}
	case "spawn":
		lasts := times(3*pc.repeats*pc.spawns, 2*time.Millisecond)
		return Use{Lasts: lasts, CPU: lasts}
	case "compile":
		lasts := times(pc.repeats, 3*time.Second)
		if pc.cold {
			lasts += times(pc.repeats, 20*time.Second)
		}
		return Use{Lasts: lasts, CPU: lasts, WriteBytes: 300 << 20, DiskOps: 20_000}
	case "net":
		lasts := times(3, each(pc.net))
		return Use{Lasts: lasts, CPU: lasts * cores}
	case "ssh":
		lasts := times(count, each(pc.net)) + times(2*pc.tries(), 300*time.Millisecond)
		u := Use{Lasts: lasts, CPU: lasts * cores}
		if p.options.SSH != "" {
			u.NetBytes = int64(times(count, each(pc.net)).Seconds() * 125e6)
		}
		return u
	case "fs":
		small := int64(pc.repeats*pc.files) * 2
		return Use{Lasts: times(count, each(pc.disk)), CPU: times(count, each(pc.disk)), WriteBytes: int64(each(pc.disk).Seconds()*guessDisk) + small*4096,
			ReadBytes: int64(each(pc.disk).Seconds()*guessDisk) + small*4096, DiskOps: small * 6}
	case "burst":
		d := p.options.BurstFor
		return Use{Lasts: 2*d + d/4, CPU: d * cores, WriteBytes: p.FileBytes, ReadBytes: int64(d.Seconds()*guessIOPS) * 4096, DiskOps: int64(d.Seconds() * guessIOPS)}
	}
	return Use{}
}

// writeLimit bounds one sample of sequential writing.
func (p *Plan) writeLimit() time.Duration {
	if p.options.Profile == Full || p.options.SizeBytes > 0 {
		return time.Minute
	}
	return time.Second
}

// writeLeast is how long a sample of sequential writing takes at least: five of them have a
// worst 5 seconds, on fast disks too.
func (p *Plan) writeLeast() time.Duration {
	if p.options.Profile == Full && !p.options.hurry {
		return 1200 * time.Millisecond
	}
	return 0
}

// tries is how many times a connection is made.
func (p pace) tries() int { return max(p.connects, 1) * p.repeats }
