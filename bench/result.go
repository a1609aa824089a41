package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/honeyant/honeyant"
)

// Schema is the version of the JSON form of a Run. Keys are only ever added within a
// version; a change of meaning gets a new number.
const Schema = "honeyant-bench/1"

// Better tells which way a unit is good.
type Better string

// The two ways.
const (
	Higher Better = "higher"
	Lower  Better = "lower"
)

// Run is what one call of `honeyant bench` found out about one machine. Read-only once made.
type Run struct {
	Schema  string    `json:"schema"` // "honeyant-bench/1"
	ID      string    `json:"id"`     // unique: UTC time and random letters, sorts by time
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Profile string    `json:"profile"`          // quick, full, burst, sample (shipped with the program)
	Groups  []string  `json:"groups,omitempty"` // what was asked for
	Gentle  bool      `json:"gentle,omitempty"` // paced for a machine in use: not comparable with a free run
	Tool    Tool      `json:"tool"`
	Host    Host      `json:"host"`
	Before  State     `json:"before"` // the machine before the first measurement
	After   State     `json:"after"`
	Tainted bool      `json:"tainted"`       // some result is, or the machine was not idle before
	Why     []string  `json:"why,omitempty"` // plain sentences, for Tainted
	Results []Result  `json:"results"`
	Skipped []Skip    `json:"skipped,omitempty"`
	Spent   *Spent    `json:"spent,omitempty"`   // nil where nobody counted
	Stopped string    `json:"stopped,omitempty"` // why the run ended early; Results are then incomplete
}

// Tool is the program that measured.
type Tool struct {
	Name    string `json:"name"`    // honeyant; another one for imported figures
	Version string `json:"version"` // as `honeyant version` prints it
	Go      string `json:"go"`      // the Go release it was built with
}

// Skip is a measurement that was not made.
type Skip struct {
	Name   string `json:"name"`           // of the measurement or of the whole group
	Peer   *Peer  `json:"peer,omitempty"` // of a pair
	Reason string `json:"reason"`
}

// Host is what is known about the machine. Empty means unknown.
type Host struct {
	Name           string   `json:"name"`                 // hostname
	Node           string   `json:"node,omitempty"`       // node ID within a colony
	Machine        string   `json:"machine,omitempty"`    // hash of /etc/machine-id: same machine, not who it is
	CPU            string   `json:"cpu"`                  // model name
	Flags          []string `json:"cpu_flags,omitempty"`  // those that matter: aes, avx2, sha_ni, ...
	Cores          int      `json:"cores"`                // logical processors that may be used
	MHz            float64  `json:"cpu_mhz,omitempty"`    // as /proc/cpuinfo gives it
	Arch           string   `json:"arch"`                 // amd64, arm64
	Kernel         string   `json:"kernel"`               // release
	OS             string   `json:"os"`                   // PRETTY_NAME of /etc/os-release
	OSID           string   `json:"os_id"`                // "debian 12": ID and VERSION_ID
	Libc           string   `json:"libc,omitempty"`       // "glibc 2.36", "musl"
	MemoryBytes    int64    `json:"memory_bytes"`         // MemTotal
	Disk           Disk     `json:"disk"`                 // that holds the directory measured
	Virtualisation string   `json:"virtualisation"`       // kvm, xen, docker, none, ...
	Cloud          string   `json:"cloud,omitempty"`      // aws, azure, hetzner, ... from DMI or the metadata service
	Plan           string   `json:"plan,omitempty"`       // "t3.nano", "cx23": by metadata service or --plan
	Region         string   `json:"region,omitempty"`     // by metadata service
	GoToolchain    string   `json:"go_version,omitempty"` // installed Go, if any
	CCompiler      string   `json:"cc_version,omitempty"` // installed C compiler, if any
	Containerised  bool     `json:"containerised"`        // limits may not be the machine's
	MemoryLimit    int64    `json:"memory_limit_bytes"`   // of the control group, 0 for none
	CPUQuota       float64  `json:"cpu_quota_processors"` // of the control group, 0 for none
	ClockSource    string   `json:"clock_source,omitempty"`
}

// Disk is the file system and device below a directory.
type Disk struct {
	Directory  string `json:"directory,omitempty"`
	FileSystem string `json:"filesystem,omitempty"` // ext4, xfs, tmpfs, fuse.honeyant, nfs4
	Device     string `json:"device,omitempty"`     // /dev/vda1
	Model      string `json:"model,omitempty"`
	Type       string `json:"type,omitempty"` // hdd, ssd, nvme, virtio, memory, network
	TotalBytes int64  `json:"total_bytes,omitempty"`
	FreeBytes  int64  `json:"free_bytes,omitempty"`
}

// State is the machine at one moment, over a second or so of watching.
type State struct {
	Time       time.Time `json:"time"`
	Load1      float64   `json:"load1"`      // load average over a minute
	BusyPct    float64   `json:"busy_pct"`   // processor time used by others, of all processors
	StealPct   float64   `json:"steal_pct"`  // time that the host gave to others
	IOWaitPct  float64   `json:"iowait_pct"` // idle with a disk request outstanding
	MemFree    int64     `json:"mem_available_bytes"`
	DiskBusy   float64   `json:"disk_busy_pct"` // of the busiest disk
	TopProcess string    `json:"top,omitempty"` // "mysqld (41 %)": the busiest other process
}

// During is what else happened while a result was measured.
type During struct {
	OthersPct float64 `json:"others_pct"` // processor time used by other programs, of all processors
	OwnPct    float64 `json:"own_pct"`    // by the measurement and its children
	StealPct  float64 `json:"steal_pct"`
	IOWaitPct float64 `json:"iowait_pct"`
}

// Peer is the other end of a measurement between two machines. From is where it ran.
type Peer struct {
	From     string `json:"from"` // node or host name
	To       string `json:"to"`
	FromNode string `json:"from_node,omitempty"` // node IDs within a colony
	ToNode   string `json:"to_node,omitempty"`
}

// Result is one figure. Median is the figure; its unit is Unit.
type Result struct {
	Name    string            `json:"name"`  // of the Catalogue: "disk.write.seq"
	Group   string            `json:"group"` // cpu, mem, ...
	Unit    string            `json:"unit"`  // "MB/s" is 10^6 bytes/s, "ms", "/s", ...
	Better  Better            `json:"better"`
	Peer    *Peer             `json:"peer,omitempty"`
	Params  map[string]string `json:"params,omitempty"` // what must be equal for two figures to be compared: size, threads
	Samples []float64         `json:"samples"`          // each repeat, in order; warm-up left out
	Median  float64           `json:"median"`
	MAD     float64           `json:"mad"` // median absolute deviation, not scaled
	Min     float64           `json:"min"`
	Max     float64           `json:"max"`
	Latency *Latency          `json:"latency,omitempty"` // of the single operations, over all samples
	Also    []Also            `json:"also,omitempty"`    // figures that came with it: ratio, worst 5 s, CPU time
	Series  []Point           `json:"series,omitempty"`  // over time: burst, sustained writing
	Before  State             `json:"before"`            // cheap: no watching, load and memory only
	During  During            `json:"during"`
	After   State             `json:"after"`
	Tainted bool              `json:"tainted"`
	Why     []string          `json:"why,omitempty"`   // for Tainted
	Notes   []string          `json:"notes,omitempty"` // what a reader must know: no O_DIRECT here, fewer samples
	Seconds float64           `json:"seconds"`         // that it took, warm-up included
}

// Latency is the distribution of single operations.
type Latency struct {
	Unit      string     `json:"unit"` // "µs" or "ms"
	Count     int64      `json:"count"`
	P50       float64    `json:"p50"`
	P90       float64    `json:"p90"`
	P99       float64    `json:"p99"`
	P999      float64    `json:"p999"`
	Max       float64    `json:"max"`
	Quantiles []Quantile `json:"quantiles,omitempty"` // for drawing, rising
}

// Quantile is a point of a distribution: a share Q of all operations took at most Value.
type Quantile struct {
	Q     float64 `json:"q"`
	Value float64 `json:"value"`
}

// Also is a named figure beside the main one.
type Also struct {
	Name  string  `json:"name"` // "min5s", "user", "sys", "ratio", "vs_single"
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Point is a figure at a moment.
type Point struct {
	Seconds float64 `json:"t"` // since the beginning
	Value   float64 `json:"v"` // in the result's unit
	Steal   float64 `json:"steal_pct,omitempty"`
}

// Key names what was measured, so that equal keys of two runs are the same measurement:
// the name, and for pairs both ends.
func (r *Result) Key() string {
	if r.Peer == nil {
		return r.Name
	}
	return r.Name + " " + r.Peer.From + "→" + r.Peer.To
}

// Value is the side figure of that name.
func (r *Result) Value(also string) (float64, bool) {
	for _, a := range r.Also {
		if a.Name == also {
			return a.Value, true
		}
	}
	return 0, false
}

// Find is the run's first result of that name, nil if there is none.
func (r *Run) Find(name string) *Result {
	for i := range r.Results {
		if r.Results[i].Name == name {
			return &r.Results[i]
		}
	}
	return nil
}

// Decode reads one Run. Errors: Unsupported for another schema, Corrupt for what is no Run.
func Decode(in io.Reader) (*Run, error) {
	const op = "bench.Decode"
	var r Run
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return nil, honeyant.E(op, honeyant.Corrupt, "", fmt.Errorf("this is no result of honeyant bench: %w", err))
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &r, nil
}

// Validate tells whether the run can be used: schema known, figures finite and named.
func (r *Run) Validate() error {
	const op = "bench.Validate"
	if r.Schema != Schema {
		return honeyant.E(op, honeyant.Unsupported, r.ID, fmt.Errorf("schema %q is not known here (this program reads %s)", r.Schema, Schema))
	}
	for i := range r.Results {
		one := &r.Results[i]
		if one.Name == "" || one.Unit == "" || one.Better != Higher && one.Better != Lower {
			return honeyant.E(op, honeyant.Corrupt, r.ID, fmt.Errorf("result %d lacks its name, unit or direction", i+1))
		}
		if !finite(one.Median) || !finite(one.MAD) || one.MAD < 0 {
			return honeyant.E(op, honeyant.Corrupt, r.ID, fmt.Errorf("%s: the figure is no number", one.Name))
		}
	}
	return nil
}
