package advice

import (
	"fmt"
	"slices"
)

// Processor milliseconds of one small file on a processor of Speed 1. doc/advice.md says how
// these were measured.
const (
	cpuCreateClient = 0.24 // create, write, close where the machine is alone
	cpuCreateLeader = 0.09
	cpuFlushClient  = 0.8 // an fsync of what this machine did alone: one commit of all of it
	cpuFlushLeader  = 1.15
	cpuFlushVoter   = 0.6 // a follower, on the way
	cpuCommitClient = 1.4 // each commit of a machine that is not alone, recalls included
	cpuCommitLeader = 1.9
	cpuCommitVoter  = 1.0
	cpuPackClient   = 0.34 // more, beyond 4 KiB, for data that travel with others in a pack
	cpuChunkClient  = 1.7  // more, beyond 4 KiB, for a chunk that is waited for: half of it processor time, by the wall clock
	cpuChunkLeader  = 1.2
	cpuChunkStore   = 1.1 // each copy; they are written at once
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

// small is a way of writing small files on the median machine.
type small struct {
	kb      float64
	threads int
	commits float64 // that each file waits for, one after the other; 0: the journal tells the leader later
	spent   bool    // with the processors' credits spent
}

// processors is what a commit costs those that have to do with it, in ms at Speed 1.
type processors struct{ client, leader, voter float64 }

// commit is what each commit that f waits for costs: one of a machine that is alone, or of one that is not.
func (f small) commit() processors {
	if f.commits > 1 {
		return processors{cpuCommitClient, cpuCommitLeader, cpuCommitVoter}
	}
	return processors{cpuFlushClient, cpuFlushLeader, cpuFlushVoter}
}

// create is create, write, close of small files. A machine that is alone in a directory makes changes there by
// itself: they cost processor time, and the leader hears of many at once. Where several machines work each file waits for
// two commits (its name, its content), with fsync for one; beyond 4 KiB also for its data on stable storage.
func (c *Colony) create(f small) SmallFiles {
	w := len(c.Machines) - 1 // not the leader, if there is another
	cpuClient := cpuCreateClient / c.speed(w, f.spent)
	if f.kb > 4 {
		cpuClient += cpuPackClient / c.speed(w, f.spent)
	}
	cpuLeader := cpuCreateLeader / c.speed(leader, f.spent)
	ms := cpuClient
	step := fmt.Sprintf("%d ÷ (", f.threads)
	if f.commits > 0 {
		commit := c.commitMS(w)
		cost := f.commit()
		cpuClient = f.commits * cost.client / c.speed(w, f.spent)
		cpuLeader = f.commits * (cost.leader / c.speed(leader, f.spent))
		voter := 0.0
		if c.voters() > 1 {
			voter = f.commits * cost.voter / c.speed(1, f.spent)
		}
		if f.kb > 4 {
			cpuClient += cpuChunkClient / c.speed(w, f.spent)
			cpuLeader += cpuChunkLeader / c.speed(leader, f.spent)
			voter += c.chunkCPU(w, f.spent)
		}
		ms = f.commits*commit + cpuClient + cpuLeader + voter
		step += fmt.Sprintf("%.0f × %.1f ms of commit", f.commits, commit)
		if f.kb > 4 {
			chunk, what := c.chunkMS(w, f.kb)
			ms += chunk
			step += fmt.Sprintf(" + %.1f ms %s", chunk, what)
		}
		step += fmt.Sprintf(" + %.1f ms of processors)", cpuClient+cpuLeader+voter)
	} else {
		step += fmt.Sprintf("%.1f ms of the client's processors)", cpuClient)
	}
	rate := float64(f.threads) * 1000 / ms
	step += fmt.Sprintf(" = %.0f/s", rate)
	limits := []struct {
		what string
		rate float64
	}{
		{"the client's processors", 1000 * c.Machines[w].Cores.Value / cpuClient},
		{"the leader's processors", 1000 * c.Machines[leader].Cores.Value / cpuLeader},
	}
	if w == leader {
		limits = limits[:1]
		limits[0].rate = 1000 * c.Machines[w].Cores.Value / (cpuClient + cpuLeader)
	}
	if f.kb > 4 {
		limits = append(limits, struct {
			what string
			rate float64
		}{"bulk writing", c.writer(w, f.spent).MBps * 1e6 / (f.kb * 1024)})
	}
	for _, l := range limits {
		if l.rate < rate {
			rate = l.rate
			step += fmt.Sprintf("; at most %.0f/s by %s", l.rate, l.what)
		}
	}
	return SmallFiles{rate, step}
}

// chunkCPU is the processor time of the slowest store that keeps a copy of a small chunk, in ms.
func (c *Colony) chunkCPU(w int, spent bool) (ms float64) {
	for i, s := range c.shares(w) {
		if s > 0 {
			ms = max(ms, cpuChunkStore/c.speed(i, spent))
		}
	}
	return ms
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
