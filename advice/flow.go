package advice

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/honeyant/honeyant/config"
)

// The model of bulk data is the operational law that holds for any queueing network (Denning
// and Buzen 1978): no resource can be busy for more than all of the time, so throughput is at most
// capacity over demand at each network direction, disk and processor, and at most the chunks
// in flight over the time of one chunk that meets no queue. The least of these is the answer.

// What the path costs, in processor seconds per 10^9 bytes on a processor of Speed 1, all of
// the kernel's and the program's work. doc/advice.md says how these were measured.
const (
	cpuWriteClient = 1.9
	cpuWriteStore  = 3.8
	cpuReadClient  = 2.1
	cpuReadStore   = 1.2
	cpuReadOwn     = 1.2 // of a copy that the reader's own machine keeps, all of it
)

const (
	chunkMB      = 4.194304 // 4 MiB
	mostPieces   = 32       // that one reader has asked for ahead
	pieceMB      = 1.048576 // each, 1 MiB
	aheadOfPool  = 0.75     // of the pool for reading
	healParallel = 3        // chunks that are healed at once
	readerChoice = 0.5      // 0: a replica is chosen blindly, 1: in proportion to the machines' networks; doc/advice.md
)

// Limit is one thing that bounds a rate.
type Limit struct {
	What     string  `json:"what"`
	Capacity float64 `json:"capacity"` // MB/s, or processors
	Demand   float64 `json:"demand"`   // of it per byte of file, or processor seconds per MB
	MBps     float64 `json:"mb_per_s"`
}

// Throughput is a rate of bulk data and the limit that sets it.
type Throughput struct {
	MBps   float64 `json:"mb_per_s"`
	By     string  `json:"limited_by"`
	Limits []Limit `json:"limits,omitempty"` // the narrowest first
}

// demand is what one byte of file asks of each machine.
type demand struct{ out, in, diskWrite, diskRead, cpu []float64 }

func newDemand(n int) demand {
	all := make([]float64, 5*n)
	return demand{all[:n], all[n : 2*n], all[2*n : 3*n], all[3*n : 4*n], all[4*n:]}
}

func (d demand) add(o demand, weight float64) {
	for _, pair := range [][2][]float64{{d.out, o.out}, {d.in, o.in}, {d.diskWrite, o.diskWrite}, {d.diskRead, o.diskRead}, {d.cpu, o.cpu}} {
		for i := range pair[0] {
			pair[0][i] += weight * pair[1][i]
		}
	}
}

// writeDemand is what a byte written on machine w asks. Copies travel as a chain: the writer
// sends each byte once however many there are; parts of an erasure code each leave the writer.
func (c *Colony) writeDemand(w int) demand {
	d, share := newDemand(len(c.Machines)), c.shares(w)
	d.cpu[w] += cpuWriteClient / 1000
	if c.Way == WayBucket {
		d.out[w] = 1
		return d
	}
	remote := 0.0
	for i, s := range share {
		d.diskWrite[i] += s
		d.cpu[i] += s * cpuWriteStore / 1000
		if i != w {
			d.in[i] += s
			remote += s
		}
	}
	first := min(remote, 1)
	if c.K > 0 {
		first = remote
	}
	d.out[w] += first
	for i, s := range share {
		if i != w && remote > 0 {
			d.out[i] += (remote - first) * s / remote
		}
	}
	return d
}

// readDemand is what a byte read on machine w asks, of data of all writers, or with own of data
// that w wrote. A reader takes its own copy if it has one, else one of the others, and the quicker a machine's network, the more often
// it is chosen: replicas are asked in the order in which they have answered so far.
func (c *Colony) readDemand(w int, own bool) demand {
	d := newDemand(len(c.Machines))
	if c.Way == WayBucket {
		d.in[w] = 1
		d.cpu[w] += cpuReadClient / 1000
		return d
	}
	share := make([]float64, len(c.Machines))
	for writer := range c.Machines {
		for i, s := range c.shares(writer) {
			if own && writer == w {
				share[i] += s
			} else if !own {
				share[i] += s / float64(len(c.Machines))
			}
		}
	}
	here := min(share[w], 1)
	if c.K > 0 {
		here = share[w] * float64(c.K) / c.perByte() / float64(c.K) // one of the parts
	}
	d.diskRead[w] += here
	d.cpu[w] += (here*cpuReadOwn + (1-here)*cpuReadClient) / 1000
	others := 0.0
	for i := range share {
		if i != w {
			if c.Copies > 1 { // else there is no choice
				share[i] *= math.Pow(c.Machines[i].Net.Value, readerChoice)
			}
			others += share[i]
		}
	}
	for i, s := range share {
		if i == w || others == 0 {
			continue
		}
		part := (1 - here) * s / others
		d.out[i] += part
		d.diskRead[i] += part
		d.cpu[i] += part * cpuReadStore / 1000
		d.in[w] += part
	}
	return d
}

// bound is the rate at which no resource is overloaded. sustained counts processors after
// their credits are spent.
func (c *Colony) bound(d demand, sustained bool) []Limit {
	var limits []Limit
	add := func(what string, capacity, demand float64) {
		if demand > 1e-12 {
			limits = append(limits, Limit{what, capacity, demand, capacity / demand})
		}
	}
	for i, m := range c.Machines {
		add("network out of "+m.Name, m.Net.Value*tcpEfficiencyOf(m.Net), d.out[i])
		add("network into "+m.Name, m.Net.Value*tcpEfficiencyOf(m.Net), d.in[i])
		add("disk of "+m.Name+", writing", m.DiskWrite.Value, d.diskWrite[i])
		add("disk of "+m.Name+", reading", m.DiskRead.Value, d.diskRead[i])
		cpu := m.Cores.Value * m.Speed.Value
		what := "processors of " + m.Name
		if sustained {
			cpu *= m.Baseline.Value
			what += ", credits spent"
		}
		add(what, cpu, d.cpu[i])
	}
	return limits
}

// tcpEfficiencyOf leaves measured and given rates alone: they are rates of data already.
func tcpEfficiencyOf(f Figure) float64 {
	if f.Origin == Measured || f.Origin == Given {
		return 1
	}
	return tcpEfficiency
}

func least(limits []Limit) Throughput {
	slices.SortStableFunc(limits, func(a, b Limit) int {
		switch {
		case a.MBps < b.MBps:
			return -1
		case a.MBps > b.MBps:
			return 1
		}
		return strings.Compare(a.What, b.What)
	})
	if len(limits) == 0 {
		return Throughput{MBps: math.Inf(1), By: "nothing"}
	}
	return Throughput{limits[0].MBps, limits[0].What, limits[:min(len(limits), 6)]}
}

// pools are those of a daemon that takes the memory it takes if nobody says otherwise.
func pools(m Machine) config.Pools {
	return config.PoolsFor(max(int64(m.MemoryGB.Value*1e9/5), config.MinMemory))
}

// piecesAhead is how many pieces a reader of that machine has asked for ahead.
func piecesAhead(m Machine) float64 {
	return min(mostPieces, math.Floor(aheadOfPool*float64(pools(m).ReadAhead)/(pieceMB*1e6)))
}

// chunksInFlight is how many chunks a writer of that machine has under way: its write pool.
func chunksInFlight(m Machine) float64 {
	return float64(pools(m).Write) / (chunkMB * 1e6)
}

// writeWindow is the limit by latency of a lone writer on machine w: its chunks in flight over the
// time of one that meets no queue.
func (c *Colony) writeWindow(w int) Limit {
	m := c.Machines[w]
	slowest := m.Net.Value * tcpEfficiencyOf(m.Net)
	for i, s := range c.shares(w) {
		if s > 0 {
			slowest = min(slowest, c.Machines[i].DiskWrite.Value)
			if i != w {
				slowest = min(slowest, c.Machines[i].Net.Value*tcpEfficiencyOf(c.Machines[i].Net))
			}
		}
	}
	if c.Way == WayBucket {
		slowest = min(slowest, c.Bucket.Stream.Value)
	}
	ms := chunkMB/slowest*1000 + c.chunkWait(w)
	n := chunksInFlight(m)
	return Limit{What: fmt.Sprintf("%.0f chunks in flight, %.0f ms each, commit included", n, ms), Capacity: n * chunkMB, Demand: ms / 1000, MBps: n * chunkMB / ms * 1000}
}

// readWindow is the limit by latency of a lone reader: what is read ahead over the time of one piece.
func (c *Colony) readWindow(w int) Limit {
	m := c.Machines[w]
	ms, rate := 2*m.RTT.Value, m.Net.Value*tcpEfficiencyOf(m.Net)
	if c.Way == WayBucket {
		ms, rate = c.Bucket.Latency.Value, min(rate, c.Bucket.Stream.Value)
	}
	ms += pieceMB / rate * 1000
	n := piecesAhead(m)
	return Limit{What: fmt.Sprintf("%.0f MiB read ahead in pieces of 1 MiB, %.0f ms each", n, ms), Capacity: n * pieceMB, Demand: ms / 1000, MBps: n * pieceMB / ms * 1000}
}

// oneWriter is a lone writer's rate on the median machine; allWriters that of all machines at once, in sum.
func (c *Colony) oneWriter(sustained bool) Throughput {
	return c.median(func(w int) Throughput { return c.writer(w, sustained) })
}

func (c *Colony) writer(w int, sustained bool) Throughput {
	limits := append(c.bound(c.writeDemand(w), sustained), c.writeWindow(w))
	if l, ok := c.slowStoreWindow(w); ok {
		limits = append(limits, l)
	}
	return least(limits)
}

// slowStoreWindow is what a lone writer loses beside a slow store: all its chunks in flight may wait there while the others are
// idle. Each chunk is paced by the slowest machine of its chain, which is that store or another one.
func (c *Colony) slowStoreWindow(w int) (Limit, bool) {
	if c.Way == WayBucket {
		return Limit{}, false
	}
	own := c.Machines[w].Net.Value * tcpEfficiencyOf(c.Machines[w].Net)
	slow, rest, share, name := math.Inf(1), own, 0.0, ""
	for i, s := range c.shares(w) {
		if s == 0 {
			continue
		}
		rate := c.Machines[i].DiskWrite.Value
		if i != w {
			rate = min(rate, c.Machines[i].Net.Value*tcpEfficiencyOf(c.Machines[i].Net))
		}
		if rate < slow {
			rest, slow = min(own, slow), rate
			share, name = min(s, 1), c.Machines[i].Name
		} else {
			rest = min(rest, rate)
		}
	}
	if share == 0 || share == 1 {
		return Limit{}, false
	}
	n := chunksInFlight(c.Machines[w])
	rate := chunkMB * closed(int(n), []float64{share * chunkMB / slow, (1 - share) * chunkMB / rest}, c.chunkWait(w)/1000)
	return Limit{What: fmt.Sprintf("%.0f chunks in flight, which may all wait for %s", n, name), Capacity: rate, Demand: 1, MBps: rate}, rate > 0
}

func (c *Colony) allWriters(sustained bool) Throughput {
	sum := newDemand(len(c.Machines))
	inFlight, wait := 0.0, 0.0
	for w := range c.Machines {
		sum.add(c.writeDemand(w), 1/float64(len(c.Machines)))
		inFlight += chunksInFlight(c.Machines[w])
		wait += c.chunkWait(w) / float64(len(c.Machines)) / 1000
	}
	limits := c.bound(sum, sustained)
	if len(c.Machines) > 1 {
		limits = meeting(limits, int(inFlight), chunkMB, wait)
	}
	return least(limits)
}

// chunkWait is how many milliseconds a chunk waits while nobody works on it: round trips, fsync, commit.
func (c *Colony) chunkWait(w int) float64 {
	if c.Way == WayBucket {
		return c.Bucket.Latency.Value + c.commitMS(w)
	}
	fsync := 0.0
	for i, s := range c.shares(w) {
		if s > 0 {
			fsync = max(fsync, c.Machines[i].Fsync.Value)
		}
	}
	return 2*c.Machines[w].RTT.Value + fsync + c.commitMS(w)
}

func (c *Colony) oneReader(own, sustained bool) Throughput {
	return c.median(func(w int) Throughput { return c.reader(w, own, sustained) })
}

func (c *Colony) reader(w int, own, sustained bool) Throughput {
	d := c.readDemand(w, own)
	limits := c.bound(d, sustained)
	if d.in[w] > 0.5 { // mostly from elsewhere
		limits = append(limits, c.readWindow(w))
	}
	return least(limits)
}

func (c *Colony) allReaders(own, sustained bool) Throughput {
	sum := newDemand(len(c.Machines))
	pieces, wait := 0.0, 0.0
	for w := range c.Machines {
		sum.add(c.readDemand(w, own), 1/float64(len(c.Machines)))
		pieces += piecesAhead(c.Machines[w])
		wait += 2 * c.Machines[w].RTT.Value / float64(len(c.Machines)) / 1000
	}
	limits := c.bound(sum, sustained)
	if len(c.Machines) > 1 {
		limits = meeting(limits, int(pieces), pieceMB, wait)
	}
	return least(limits)
}

// median is the rate of the machine in the middle: half of the machines see at least that.
func (c *Colony) median(of func(w int) Throughput) Throughput {
	rates := make([]Throughput, len(c.Machines))
	for w := range c.Machines {
		rates[w] = of(w)
	}
	slices.SortStableFunc(rates, func(a, b Throughput) int {
		switch {
		case a.MBps < b.MBps:
			return -1
		case a.MBps > b.MBps:
			return 1
		}
		return 0
	})
	return rates[(len(rates)-1)/2]
}
