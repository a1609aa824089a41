package advice

import (
	"fmt"
	"slices"
)

// Processor milliseconds of one small file on a processor of Speed 1. doc/advice.md says how
// these were measured.
const (
	cpuCreateClient = 1.2 // create, write, close
	cpuCreateLeader = 1.5
	cpuOpenClient   = 0.9 // open, read, close
	cpuOpenLeader   = 0.5
)

// leader is the machine that keeps the metadata in the model: the median of the voters would
// need to know who is elected, so the first of the machines stands for it.
const leader = 0

// commitMS is how long one commit of metadata takes from machine w: to the leader and back, its
// fsync, and the round trip and fsync of the follower that completes the majority.
func (c *Colony) commitMS(w int) float64 {
	lead := c.Machines[leader]
	ms := lead.Fsync.Value
	if w != leader {
		ms += c.Machines[w].RTT.Value
	}
	voters := c.voters()
	if voters == 1 {
		return ms
	}
	var followers []float64
	for i := 1; i < voters; i++ {
		m := c.Machines[i]
		followers = append(followers, max(m.RTT.Value, lead.RTT.Value)+m.Fsync.Value)
	}
	slices.Sort(followers)
	return ms + followers[(voters-1)/2-1]
}

// SmallFiles are files written or read per second, each whole.
type SmallFiles struct {
	PerSecond float64 `json:"per_second"`
	Step      string  `json:"arithmetic"`
}

// createOne is create, write, close of files of kb KiB by one thread on the median machine; many
// the same by 16 threads. A file of up to 4 KiB travels inside its second commit.
func (c *Colony) create(kb float64, threads int, sustained bool) SmallFiles {
	w := len(c.Machines) - 1 // not the leader, if there is another
	if w == leader && len(c.Machines) > 1 {
		w = 1
	}
	commit := c.commitMS(w)
	chunk, what := 0.0, ""
	if kb > 4 {
		chunk, what = c.chunkMS(w, kb)
		what = fmt.Sprintf(" + %.1f ms %s", chunk, what)
	}
	cpuClient := cpuCreateClient / c.speed(w, sustained)
	cpuLeader := cpuCreateLeader / c.speed(leader, sustained)
	ms := 2*commit + chunk + cpuClient + cpuLeader
	rate := float64(threads) * 1000 / ms
	step := fmt.Sprintf("%d ÷ (2 commits of %.1f ms%s + processors %.1f ms) = %.0f/s", threads, commit, what, cpuClient+cpuLeader, rate)
	for _, cap := range []struct {
		what string
		rate float64
	}{
		{"the client's processors", 1000 * c.Machines[w].Cores.Value / cpuClient},
		{"the leader's processors", 1000 * c.Machines[leader].Cores.Value / cpuLeader},
	} {
		if cap.rate < rate {
			rate = cap.rate
			step += fmt.Sprintf("; at most %.0f/s by %s", cap.rate, cap.what)
		}
	}
	if kb > 4 && threads > 1 {
		bulk := c.oneWriter(sustained).MBps * 1e6 / (kb * 1024)
		if bulk < rate {
			rate = bulk
			step += fmt.Sprintf("; at most %.0f/s by bulk writing", bulk)
		}
	}
	return SmallFiles{rate, step}
}

// chunkMS is a small chunk's way into its stores: all at once, on stable storage.
func (c *Colony) chunkMS(w int, kb float64) (ms float64, what string) {
	mb := kb * 1024 / 1e6
	m := c.Machines[w]
	if c.Way == WayBucket {
		return c.Bucket.Latency.Value + mb/c.Bucket.Stream.Value*1000, "into the bucket"
	}
	fsync, disk, remote := 0.0, 1e9, false
	for i, s := range c.shares(w) {
		if s > 0 {
			fsync, disk = max(fsync, c.Machines[i].Fsync.Value), min(disk, c.Machines[i].DiskWrite.Value)
			remote = remote || i != w
		}
	}
	ms = fsync + mb/disk*1000
	if remote {
		ms += m.RTT.Value + c.perByte()*mb/(m.Net.Value*tcpEfficiencyOf(m.Net))*1000
	}
	return ms, "for the data"
}

// open is open, read, close of small files that nobody has in memory: asked of the leader, who
// makes sure with a majority that it still leads.
func (c *Colony) open(threads int, sustained bool) SmallFiles {
	w := len(c.Machines) - 1
	ms := c.Machines[leader].RTT.Value
	if w != leader {
		ms += c.Machines[w].RTT.Value
	}
	if c.voters() == 1 {
		ms -= c.Machines[leader].RTT.Value
	}
	cpuClient, cpuLeader := cpuOpenClient/c.speed(w, sustained), cpuOpenLeader/c.speed(leader, sustained)
	rate := float64(threads) * 1000 / (ms + cpuClient + cpuLeader)
	step := fmt.Sprintf("%d ÷ (round trips %.1f ms + processors %.1f ms) = %.0f/s", threads, ms, cpuClient+cpuLeader, rate)
	if most := 1000 * c.Machines[w].Cores.Value / cpuClient; most < rate {
		rate = most
		step += fmt.Sprintf("; at most %.0f/s by the client's processors", most)
	}
	return SmallFiles{rate, step}
}

func (c *Colony) speed(i int, sustained bool) float64 {
	s := c.Machines[i].Speed.Value
	if sustained {
		s *= c.Machines[i].Baseline.Value
	}
	return max(s, 1e-3)
}
