package advice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

// even is a machine with measured figures of 100 MB/s everywhere and no processor to speak of.
func even(name string) Machine {
	f := func(v float64) Figure { return Figure{v, Measured, ""} }
	return Machine{Name: name, DiskGB: f(100), Net: f(100), DiskWrite: f(100), DiskRead: f(100), Fsync: f(2), RTT: f(1), Speed: f(1000), Cores: f(1), MemoryGB: f(16), Baseline: f(1)}
}

func evens(n int) []Machine {
	var all []Machine
	for i := range n {
		all = append(all, even(fmt.Sprintf("m%d", i+1)))
	}
	return all
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.01*math.Abs(want) {
		t.Errorf("%s: %.4g, want %.4g", what, got, want)
	}
}

// The arithmetic by hand for machines of 100 MB/s in every respect.
func TestBulkRates(t *testing.T) {
	for _, c := range []struct {
		name                string
		colony              Colony
		one, all, read, sum float64
	}{
		// Two of three machines get each byte. One writer: its uplink carries every byte once. All: 3 × 100 of disk
		// for 2 bytes a byte. A reader has 2/3 itself; the third comes over its network, 100 ÷ 1/3, or its disk, 100 ÷ 2/3.
		{"spread over 3, 2 copies", Colony{Machines: evens(3), Way: WaySpread, Copies: 2}, 100, 150, 150, 300},
		{"spread over 10, 2 copies", Colony{Machines: evens(10), Way: WaySpread, Copies: 2}, 100, 500, 125, 1000},
		// The honeypot's disk and network take everything, whoever writes. Of readers nine in ten are elsewhere: its
		// uplink gives 100 to them, its disk 100 to all.
		{"one honeypot of 10", Colony{Machines: evens(10), Way: WayPinned, Copies: 1, Pots: []int{0}}, 100, 100, 100, 100},
		{"two honeypots of 10", Colony{Machines: evens(10), Way: WayPinned, Copies: 2, Pots: []int{0, 1}}, 100, 100, 100, 200},
		// The first copy stays, the second goes out once.
		{"local over 4", Colony{Machines: evens(4), Way: WayLocal, Copies: 2}, 100, 200, 100, 400},
		{"one copy spread over 4", Colony{Machines: evens(4), Way: WaySpread, Copies: 1}, 100 / 0.75, 400, 100 / 0.75, 400},
		// 4+2 over 6: every machine gets a quarter of each byte; the writer sends five of them.
		{"4+2 over 6", Colony{Machines: evens(6), Way: WaySpread, K: 4, M: 2}, 100 / 1.25, 400, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := c.colony.Way == WayLocal
			near(t, "one writer", c.colony.oneWriter(false).MBps, c.one)
			most := func(of func(int) demand) float64 { // without what is lost by chunks that meet
				sum := newDemand(len(c.colony.Machines))
				for w := range c.colony.Machines {
					sum.add(of(w), 1/float64(len(c.colony.Machines)))
				}
				return least(c.colony.bound(sum, false)).MBps
			}
			near(t, "all writers", most(c.colony.writeDemand), c.all)
			if c.read > 0 {
				near(t, "one reader", c.colony.oneReader(own, false).MBps, c.read)
				near(t, "all readers", most(func(w int) demand { return c.colony.readDemand(w, own) }), c.sum)
			}
		})
	}
}

func TestProcessorsLimitAfterCredits(t *testing.T) {
	c := Colony{Machines: evens(3), Way: WaySpread, Copies: 2}
	for i := range c.Machines {
		c.Machines[i].Speed.Value, c.Machines[i].Cores.Value, c.Machines[i].Baseline.Value = 1, 2, 0.05
	}
	fresh, spent := c.oneWriter(false), c.oneWriter(true)
	want := 0.1 / ((cpuWriteClient + 2.0/3*cpuWriteStore) / 1000)
	near(t, "fresh", fresh.MBps, 100)
	near(t, "credits spent", spent.MBps, want)
	if !strings.Contains(spent.By, "credits spent") {
		t.Errorf("limited by %q", spent.By)
	}
}

func TestLittleMemoryIsAWindow(t *testing.T) {
	c := Colony{Machines: evens(3), Way: WaySpread, Copies: 2}
	for i := range c.Machines {
		c.Machines[i].MemoryGB.Value, c.Machines[i].RTT.Value = 0.5, 100 // two chunks in flight over a continent
	}
	// 41.9 ms for the bytes, 2 × 100 + 2 for the chunk, 100 + 2 + 100 + 2 for its commit
	near(t, "one writer", c.oneWriter(false).MBps, 2*chunkMB/(41.9+202+204)*1000)
}

func TestSharesFollowPlacement(t *testing.T) {
	c := Colony{Machines: evens(4), Way: WaySpread, Copies: 2}
	c.Machines[0].DiskGB.Value = 1000 // larger than the others together: one copy of everything
	for i, want := range []float64{1, 1.0 / 3, 1.0 / 3, 1.0 / 3} {
		near(t, fmt.Sprint("share of ", i), c.shares(2)[i], want)
	}
	near(t, "usable", c.usable(c.stores()), 3*100*0.95)
	near(t, "usable after the loss of the large one", c.usableAfterLoss(), 1.5*100*0.95)
}

func TestCommitIsTheMajoritysWay(t *testing.T) {
	c := Colony{Machines: evens(3), Way: WaySpread, Copies: 2}
	near(t, "from a follower", c.commitMS(1), 1+2+1+2)
	near(t, "from the leader", c.commitMS(0), 2+1+2)
	c.Machines[2].Fsync.Value = 500 // one slow voter does not matter
	near(t, "with a slow voter", c.commitMS(1), 6)
	c.Machines[1].Fsync.Value = 500 // two do
	near(t, "with two slow voters", c.commitMS(1), 504)
	near(t, "alone", (&Colony{Machines: evens(1), Way: WaySpread, Copies: 1}).commitMS(0), 2)
	const cpuPerCommit = (cpuCommitClient + cpuCommitLeader + cpuCommitVoter) / 1000 // at speed 1000
	near(t, "shared small files", c.create(small{kb: 4, threads: 1, commits: 2}).PerSecond, 1000/(2*(c.commitMS(2)+cpuPerCommit)))
	near(t, "small files alone", c.create(small{kb: 4, threads: 1}).PerSecond, 1e6/max(cpuCreateClient, cpuCreateLeader))
	// 64 KiB to two stores: a round trip, 2 × 65.5 KB over the network, the same once to a disk, an fsync, all of 100 MB/s and a millisecond
	const cpuPerFlush = (cpuFlushClient + cpuFlushLeader + cpuFlushVoter) / 1000
	const cpuPerChunk = (cpuChunkClient + cpuChunkLeader + cpuChunkStore) / 1000
	near(t, "64 KiB, fsynced", c.create(small{kb: 64, threads: 1, commits: 1}).PerSecond, 1000/(c.commitMS(2)+1+1.311+0.655+500+cpuPerFlush+cpuPerChunk))
}

// Against what is known of closed networks: balanced ones (N/(N+K-1) of the bound), one station,
// and a station with thinking, the repairman's formula of Erlang.
func TestClosedNetworks(t *testing.T) {
	near(t, "8 customers, 3 equal stations", closed(8, []float64{2, 2, 2}, 0), 8.0/(2*(8+3-1)))
	near(t, "one station", closed(5, []float64{4}, 0), 0.25)
	near(t, "1 customer", closed(1, []float64{1, 2}, 3), 1.0/6)
	// 2 customers, service 1, thinking 1: p0 = 1/(1+2+2) of an idle station
	near(t, "thinking", closed(2, []float64{1}, 1), 1-1.0/5)
	near(t, "an overwhelming bottleneck", closed(400, []float64{1, 0.1, 0.1}, 1), 1)
}

// Real runs of four machines in the lab with shaped links (doc/advice.md), on the links, disks and round
// trips that were measured there: the model must stay within a quarter.
func TestModelBesideTheLab(t *testing.T) {
	given := func(v float64) Figure { return Figure{v, Given, ""} }
	lab := func(nets ...float64) []Machine {
		var machines []Machine
		for i, net := range nets {
			m := even(fmt.Sprintf("n%d", i+1))
			m.Net, m.RTT, m.Fsync, m.DiskWrite, m.DiskRead = given(net), given(0.019), given(1), given(450), given(450)
			m.Speed, m.Cores, m.MemoryGB, m.DiskGB = given(1), given(2), given(0.5), given(6)
			machines = append(machines, m)
		}
		machines[3].DiskGB = given(0) // only mounts
		return machines
	}
	for _, c := range []struct {
		links    string
		machines []Machine
		measured [11]float64
	}{
		{"80 Mbit/s", lab(9.56, 9.56, 9.56, 9.56), [11]float64{9.4, 9.5, 13.5, 9.5, 34.3, 9.5, 12.7, 9.5, 12.7, 9.5, 14.2}},
		{"240 Mbit/s, n3 60 Mbit/s", lab(28.7, 28.7, 7.17, 28.7), [11]float64{8.8, 9.9, 12.3, 25.9, 68.9, 28.5, 25.2, 28.3, 23.6, 13.7, 14}},
		{"200 Mbit/s, n3 100 Mbit/s", lab(23.9, 23.9, 11.95, 23.9), [11]float64{15, 15.7, 19.6, 20.4, 73, 23.7, 31.1, 23.6, 28.9, 17.8, 21.4}},
	} {
		spread := Colony{Machines: c.machines, Way: WaySpread, Copies: 2}
		pot := Colony{Machines: c.machines, Way: WayPinned, Copies: 1, Pots: []int{0}}
		home := Colony{Machines: c.machines, Way: WayLocal, Copies: 2}
		for i, model := range []float64{spread.writer(3, false).MBps, spread.writer(1, false).MBps, spread.allWriters(false).MBps, spread.reader(3, false, false).MBps, spread.allReaders(false, false).MBps,
			pot.writer(3, false).MBps, pot.allWriters(false).MBps, pot.reader(3, false, false).MBps, pot.allReaders(false, false).MBps,
			home.writer(1, false).MBps, home.allWriters(false).MBps} {
			t.Logf("%s, rate %d: model %.1f MB/s, measured %.1f, ratio %.2f", c.links, i, model, c.measured[i], model/c.measured[i])
			if r := model / c.measured[i]; r < 0.75 || r > 1.25 {
				t.Errorf("%s, rate %d: model %.1f MB/s, measured %.1f", c.links, i, model, c.measured[i])
			}
		}
	}
}

// The same for a reader of its own machine's copies: no link has a part in it.
func TestModelOfOwnCopiesBesideTheLab(t *testing.T) {
	for _, c := range []struct{ disk, measured float64 }{{1291, 1147}, {207, 208}, {78, 78.5}} {
		home := Colony{Machines: evens(4), Way: WayLocal, Copies: 2}
		home.Machines[1].DiskRead, home.Machines[1].Speed, home.Machines[1].Cores = Figure{c.disk, Given, ""}, Figure{1, Given, ""}, Figure{2, Given, ""}
		model := home.reader(1, true, false)
		t.Logf("disk of %.0f MB/s: model %.0f MB/s by %s, measured %.0f, ratio %.2f", c.disk, model.MBps, model.By, c.measured, model.MBps/c.measured)
		if r := model.MBps / c.measured; r < 0.75 || r > 1.25 {
			t.Errorf("disk of %.0f MB/s: model %.0f MB/s, measured %.0f", c.disk, model.MBps, c.measured)
		}
	}
}

// The mean time to loss against the closed forms in the literature, and against a simulation.
func TestChain(t *testing.T) {
	const die, heal = 1e-5, 0.5
	// Patterson, Gibson, Katz 1988: two of two, MTTDL = (3λ+μ)/2λ².
	mirror := (3*die + heal) / (2 * die * die)
	near(t, "mirror", lossWithin(chain{n: 2, tolerates: 1, die: die, heal: heal, hit: 1}, 1000), -math.Expm1(-1000/mirror))
	// RAID 5 of n: ((2n-1)λ+μ)/(n(n-1)λ²)
	raid := (11*die + heal) / (6 * 5 * die * die)
	near(t, "one of six", lossWithin(chain{n: 6, tolerates: 1, die: die, heal: heal, hit: 1}, 1000), -math.Expm1(-1000/raid))
	near(t, "one copy, one store", lossWithin(chain{n: 1, die: 1e-3, hit: 1}, 1000), -math.Expm1(-1))

	const seed = 11
	rng := rand.New(rand.NewPCG(seed, seed))
	c := chain{n: 5, tolerates: 2, die: 0.01, heal: 0.1, hit: 1}
	lost, rounds, hours := 0, 20000, 300.0
	for range rounds {
		for now, k := 0.0, 0; ; {
			up, down := float64(c.n-k)*c.die, 0.0
			if k > 0 {
				down = c.heal
			}
			if now += rng.ExpFloat64() / (up + down); now > hours {
				break
			}
			if rng.Float64()*(up+down) < down {
				k--
			} else if k++; k > c.tolerates {
				lost++
				break
			}
		}
	}
	got, want := lossWithin(c, hours), float64(lost)/float64(rounds)
	if math.Abs(got-want) > 0.05*want {
		t.Errorf("model %.4f, simulated %.4f (seed %d)", got, want, seed)
	}
}

func TestRiskOrders(t *testing.T) {
	h := DefaultHazards()
	year := func(c Colony) float64 {
		c.StoredGB = 50
		r, steps := c.risk(h)
		if len(steps) == 0 {
			t.Error("no arithmetic")
		}
		return r.DataYear
	}
	one := year(Colony{Machines: evens(5), Way: WayPinned, Copies: 1, Pots: []int{0}})
	spreadOne := year(Colony{Machines: evens(5), Way: WaySpread, Copies: 1})
	two := year(Colony{Machines: evens(5), Way: WaySpread, Copies: 2})
	pots := year(Colony{Machines: evens(5), Way: WayPinned, Copies: 2, Pots: []int{0, 1}})
	three := year(Colony{Machines: evens(5), Way: WaySpread, Copies: 3})
	near(t, "one honeypot dies with its machine", one, h.LossPerYear)
	near(t, "one copy on five", spreadOne, 1-math.Pow(1-h.LossPerYear, 5))
	if !(three < two && two < pots && pots < one && one < spreadOne) {
		t.Errorf("three copies %.2g, two %.2g, two honeypots that heal by hand %.2g, one honeypot %.2g, one copy spread %.2g", three, two, pots, one, spreadOne)
	}
}

func TestProbabilityInWords(t *testing.T) {
	for p, want := range map[float64]string{0: "never", 0.02: "2 %", 0.0012: "0.12 %", 0.000123: "1 in 8,000", 1e-6: "1 in 1,000,000", 1e-14: "less than 1 in 10^12"} {
		if got := Probability(p); got != want {
			t.Errorf("%g: %q, want %q", p, got, want)
		}
	}
}

func TestMachinesFromHistory(t *testing.T) {
	table, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	runs := history.Sample()
	later := *runs[0]
	later.ID, later.Began = "later", later.Began.AddDate(1, 0, 0)
	later.Results = []bench.Result{{Name: "disk.fsync", Unit: "ms", Better: bench.Lower, Median: 4}}
	machines := FromRuns(table, append(runs, &later))
	byName := map[string]Machine{}
	for _, m := range machines {
		byName[m.Name] = m
	}
	u := byName["ubuntu16"]
	if u.DiskWrite != (Figure{70, Measured, "disk.write.seq"}) || u.Fsync.Value != 4 || u.Net != (Figure{50, Measured, "ssh.system.aes128gcm"}) {
		t.Errorf("%+v", u)
	}
	if a := byName["azure"]; a.DiskWrite.Value != 15 || a.Monthly == nil || a.Monthly.Amount != 10000 || a.Net.Origin != Assumed {
		t.Errorf("%+v", a)
	}
	colony := host("vm-1", "", map[string]float64{"net.rtt": 3})
	colony.Host.Node, colony.Results[0].Peer = "n1", &bench.Peer{From: "first", FromNode: "n1", To: "second", ToNode: "n2"}
	if m := FromRuns(table, []*bench.Run{colony})[0]; m.RTT.Value != 3 {
		t.Errorf("a node that goes by another name than its host: %+v", m.RTT)
	}
	if m := byName["ubuntu18"]; m.Net.Value != 75 { // 50 from one neighbour, 100 to the other
		t.Errorf("%+v", m.Net)
	}
}
