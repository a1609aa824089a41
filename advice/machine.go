package advice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/honeyant/honeyant/bench"
)

// Origin is where a figure comes from.
type Origin string

// Measured on the machine itself; Offered by the price table; Assumed because nothing better is known.
const (
	Measured Origin = "measured"
	Offered  Origin = "price table"
	Assumed  Origin = "assumed"
)

// Figure is a number and where it comes from.
type Figure struct {
	Value  float64 `json:"value"`
	Origin Origin  `json:"origin"`
	Note   string  `json:"note,omitempty"` // which measurement, or why this assumption
}

// Machine is what the models know of one machine. Rates are in 10^6 bytes per second.
type Machine struct {
	Name      string `json:"name"`
	Node      string `json:"node,omitempty"` // its ID within the colony, by which others may name it
	Offer     string `json:"plan,omitempty"` // of the price table
	Monthly   *Money `json:"monthly,omitempty"`
	DiskGB    Figure `json:"disk_gb"` // what it gives to the colony, 10^9 bytes
	Net       Figure `json:"net_mb_per_s"`
	DiskWrite Figure `json:"disk_write_mb_per_s"`
	DiskRead  Figure `json:"disk_read_mb_per_s"`
	Fsync     Figure `json:"fsync_ms"`
	RTT       Figure `json:"rtt_ms"`     // to the other machines, median
	Speed     Figure `json:"cpu_speed"`  // of one processor; 1 is the machine that CPU costs were measured on
	Cores     Figure `json:"processors"` // that it has
	MemoryGB  Figure `json:"memory_gb"`
	Baseline  Figure `json:"cpu_baseline_share"` // of each, for ever: 1 means unlimited
}

// What is assumed of a small VM of which nothing was measured: the class of machine that the
// conversation of 2020 and doc/performance.md are about.
const (
	assumedNet     = 100 // MB/s between machines of a region: "100 MB/s, even to the neighbour host"
	assumedDisk    = 70  // MB/s: "4 GB in 60 seconds"
	assumedFsync   = 2   // ms: a network block device
	assumedRTT     = 0.5 // ms within a region
	assumedCores   = 1
	assumedGB      = 20
	assumedMemory  = 0.5
	systemShare    = 0.25 // of a rented disk that stays with the system
	referenceScore = 1000 // points of cpu.score.1 that Speed 1 stands for
	tcpEfficiency  = 0.94 // of a link's rate that is file data: Ethernet, TCP and TLS headers, frames
	reserveOfStore = 0.05 // a store keeps free
)

// FromOffer is a machine of a plan of which nothing was measured.
func FromOffer(name string, o Offer) Machine {
	m := assumedMachine(name)
	price := o.Monthly
	m.Offer, m.Monthly = o.Name(), &price
	if o.DiskGB > 0 {
		m.DiskGB = Figure{o.DiskGB * (1 - systemShare), Offered, fmt.Sprintf("%.0f GB less %.0f %% for the system", o.DiskGB, 100*systemShare)}
	} else {
		m.DiskGB = Figure{0, Offered, "the plan has no disk"}
	}
	if o.VCPU > 0 {
		m.Cores = Figure{o.VCPU, Offered, ""}
	}
	if o.MemoryGB > 0 {
		m.MemoryGB = Figure{o.MemoryGB, Offered, ""}
	}
	if o.Baseline > 0 {
		m.Baseline = Figure{o.Baseline / 100, Offered, "after the credits are spent"}
	}
	return m
}

func assumedMachine(name string) Machine {
	const small = "a small VM"
	return Machine{Name: name, DiskGB: Figure{assumedGB * (1 - systemShare), Assumed, small}, Net: Figure{assumedNet, Assumed, small},
		DiskWrite: Figure{assumedDisk, Assumed, small}, DiskRead: Figure{assumedDisk, Assumed, small}, Fsync: Figure{assumedFsync, Assumed, small},
		RTT: Figure{assumedRTT, Assumed, "within a region"}, Speed: Figure{1, Assumed, "as the machine of doc/performance.md"}, Cores: Figure{assumedCores, Assumed, small},
		MemoryGB: Figure{assumedMemory, Assumed, small}, Baseline: Figure{1, Assumed, "not limited"}}
}

// FromRuns are the machines that a history tells of, each by its newest figures, in order of
// name. Prices come from the plan that the run names, if the table has it.
func FromRuns(table *Table, runs []*bench.Run) []Machine {
	byHost := map[string][]*bench.Run{}
	var order []string
	for _, r := range runs {
		if _, ok := byHost[r.Host.Name]; !ok {
			order = append(order, r.Host.Name)
		}
		byHost[r.Host.Name] = append(byHost[r.Host.Name], r)
	}
	slices.Sort(order)
	var machines []Machine
	for _, name := range order {
		machines = append(machines, fromHistory(table, name, byHost[name], runs))
	}
	return machines
}

func fromHistory(table *Table, name string, own, all []*bench.Run) Machine {
	m := assumedMachine(name)
	host := own[len(own)-1].Host
	if offer, ok := offerOf(table, host); ok {
		m = FromOffer(name, offer)
	}
	m.Node = host.Node
	if host.Cores > 0 {
		m.Cores = Figure{float64(host.Cores), Measured, ""}
	}
	if host.MemoryBytes > 0 {
		m.MemoryGB = Figure{float64(host.MemoryBytes) / 1e9, Measured, ""}
	}
	if total := float64(host.Disk.TotalBytes) / 1e9; total > 0 {
		m.DiskGB = Figure{total * (1 - systemShare), Measured, fmt.Sprintf("%.0f GB less %.0f %% for the system", total, 100*systemShare)}
	}
	set := func(f *Figure, scale float64, names ...string) {
		for _, n := range names {
			if r := newest(own, n); r != nil && r.Median > 0 {
				*f = Figure{r.Median * scale, Measured, n}
				return
			}
		}
	}
	set(&m.DiskWrite, 1, "disk.write.seq")
	m.DiskRead = Figure{m.DiskWrite.Value, m.DiskWrite.Origin, "as writing"}
	set(&m.DiskRead, 1, "disk.read.seq")
	set(&m.Fsync, 1, "disk.fsync")
	set(&m.Speed, 1.0/referenceScore, "cpu.score.1")
	if v, n := medianOverPairs(all, m, "net.tcp.8", "net.tcp.1", "net.tls.8", "net.tls.1", "ssh.system.aes128gcm"); n != "" {
		m.Net = Figure{v, Measured, n}
	}
	if v, n := medianOverPairs(all, m, "net.rtt"); n != "" {
		m.RTT = Figure{v, Measured, n}
	}
	if r := newest(own, "burst.cpu"); r != nil && r.Median > 0 {
		m.Baseline = Figure{min(1, r.Median/100), Measured, "burst.cpu"}
	}
	return m
}

// offerOf finds the plan that a host says it is.
func offerOf(table *Table, h bench.Host) (Offer, bool) {
	if h.Plan == "" {
		return Offer{}, false
	}
	for _, name := range []string{h.Cloud + "/" + h.Plan, strings.ToLower(h.Plan)} {
		if o, err := table.Find(name); err == nil {
			return o, true
		}
	}
	return Offer{}, false
}

func newest(runs []*bench.Run, name string) *bench.Result {
	for _, r := range slices.Backward(runs) {
		if found := r.Find(name); found != nil {
			return found
		}
	}
	return nil
}

// medianOverPairs is the median over the ways from and to a machine, of the first of the
// measurements that exists; a way measured often counts by its newest figure.
func medianOverPairs(runs []*bench.Run, m Machine, names ...string) (value float64, name string) {
	for _, n := range names {
		ways := map[string]float64{}
		for _, run := range runs { // by time: the newest stays
			for i := range run.Results {
				r := &run.Results[i]
				if r.Name == n && r.Peer != nil && m.isEnd(r.Peer) && r.Median > 0 {
					ways[r.Key()] = r.Median
				}
			}
		}
		if len(ways) > 0 {
			var values []float64
			for _, v := range ways {
				values = append(values, v)
			}
			return bench.Median(values), n
		}
	}
	return 0, ""
}

// isEnd tells whether a way begins or ends at the machine, which may go by its host's name or by its node.
func (m Machine) isEnd(p *bench.Peer) bool {
	return p.From == m.Name || p.To == m.Name || m.Node != "" && (p.FromNode == m.Node || p.ToNode == m.Node)
}

// ScoresByOffer is the measured speed of all processors (cpu.score.all) of each plan of which a
// machine was measured: the median over its machines.
func ScoresByOffer(table *Table, runs []*bench.Run) map[string]float64 {
	values := map[string][]float64{}
	for _, r := range runs {
		offer, ok := offerOf(table, r.Host)
		if s := r.Find("cpu.score.all"); ok && s != nil {
			values[offer.Name()] = append(values[offer.Name()], s.Median)
		}
	}
	scores := map[string]float64{}
	for name, v := range values {
		scores[name] = bench.Median(v)
	}
	return scores
}
