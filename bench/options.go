package bench

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
)

// Profiles. Sample is for figures that were not measured here but shipped or imported.
const (
	Quick  = "quick" // under a minute for the groups that run by themselves
	Full   = "full"  // about half an hour
	Burst  = "burst"
	Sample = "sample"
)

// Options of a run. The zero value measures the groups that need nothing, quickly.
type Options struct {
	Groups  []string // default: DefaultGroups
	Only    []string // names of the Catalogue; default: all of the groups
	Profile string   // Quick or Full; default Quick
	Gentle  bool     // low priority, and three times as long a pause after each sample
	Dir     string   // the directory whose disk or file system is measured; default "."
	// SizeBytes is the wanted size of the test file; 0 takes the profile's. No more than a
	// quarter of the free space is used.
	SizeBytes int64
	SSH       string        // host for the group ssh, as ssh(1) takes it; "" starts a private sshd on this machine
	BurstFor  time.Duration // default 15 minutes
	Plan      string        // name of the cloud plan, if the metadata service does not tell
	Region    string
	Node      string // ID of this node in its colony
	Version   string // of the program
	Metadata  bool   // ask the cloud's metadata service for the plan
	Log       *slog.Logger
	// Progress is told of each step, on the caller's goroutine. May be nil.
	Progress func(Event)

	hurry bool // samples of milliseconds, for tests of everything but the figures
}

// Event is a step of a run.
type Event struct {
	Name   string        // of the measurement
	Done   int           // measurements made or skipped before this one
	Of     int           // measurements planned
	Result *Result       // when it is finished
	Skip   *Skip         // when it was left out
	Left   time.Duration // estimate for the rest
}

// DefaultGroups are those that run when none is named: all that need no other machine.
func DefaultGroups() []string {
	return []string{"cpu", "mem", "random", "codec", "tls", "disk", "spawn", "compile", "net"}
}

func (o Options) withDefaults() Options {
	if len(o.Groups) == 0 {
		o.Groups = DefaultGroups()
	}
	if o.Profile == "" {
		o.Profile = Quick
	}
	if o.Dir == "" {
		o.Dir = "."
	}
	if o.BurstFor == 0 {
		o.BurstFor = 15 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(Event) {}
	}
	return o
}

// minBurst is the shortest time in which a plateau can be told from a dip.
const minBurst = time.Minute

// validate reports everything that is wrong at once.
func (o Options) validate() error {
	var faults []string
	for _, g := range o.Groups {
		if !slices.Contains(Groups(), g) {
			faults = append(faults, fmt.Sprintf("there is no group %q; the groups are %s", g, strings.Join(Groups(), ", ")))
		}
	}
	for _, name := range o.Only {
		if spec, ok := Lookup(name); !ok || !slices.Contains(o.Groups, spec.Group) {
			faults = append(faults, fmt.Sprintf("there is no measurement %q in the groups %s", name, strings.Join(o.Groups, ", ")))
		}
	}
	if o.Profile != Quick && o.Profile != Full {
		faults = append(faults, fmt.Sprintf("there is no profile %q; the profiles are quick and full", o.Profile))
	}
	if o.SizeBytes < 0 || o.SizeBytes > 0 && o.SizeBytes < minFile {
		faults = append(faults, fmt.Sprintf("a test file of %d bytes is too small: at least %d MiB", o.SizeBytes, minFile>>20))
	}
	if o.BurstFor < minBurst {
		faults = append(faults, fmt.Sprintf("%s is too short for burst: at least %s", o.BurstFor, minBurst))
	}
	if strings.HasPrefix(o.SSH, "-") {
		faults = append(faults, fmt.Sprintf("%q is no host", o.SSH))
	}
	if len(faults) == 0 {
		return nil
	}
	return honeyant.E("bench.Plan", honeyant.Invalid, "", fmt.Errorf("%s", strings.Join(faults, "; ")))
}

// pace is how long and how often a profile samples.
type pace struct {
	repeats  int
	warm     time.Duration // before the first sample
	sample   time.Duration // of processor and memory
	disk     time.Duration // of disk and file system
	net      time.Duration
	spawns   int // per sample
	connects int // by ssh, per sample
	files    int // small files per sample
	file     int64
	watch    time.Duration // looking at the machine before and after
	jitter   time.Duration
	cold     bool // compile with an empty cache
}

func (o Options) pace() pace {
	if o.hurry {
		const d = 5 * time.Millisecond
		return pace{repeats: 5, warm: d, sample: d, disk: d, net: d, spawns: 2, connects: 1, files: 20, file: minFile, watch: d, jitter: d}
	}
	if o.Profile == Full {
		return pace{repeats: 5, warm: time.Second, sample: 2 * time.Second, disk: 6 * time.Second, net: 2 * time.Second,
			spawns: 500, connects: 4, files: 10_000, file: 1 << 30, watch: 3 * time.Second, jitter: 12 * time.Second, cold: true}
	}
	return pace{repeats: 5, warm: 50 * time.Millisecond, sample: 100 * time.Millisecond, disk: 300 * time.Millisecond, net: 300 * time.Millisecond,
		spawns: 50, connects: 4, files: 500, file: 256 << 20, watch: time.Second, jitter: 400 * time.Millisecond}
}

// threads is how many processors the run may use.
func threads() int { return runtime.GOMAXPROCS(0) }
