package history

import (
	"slices"
	"time"

	"github.com/honeyant/honeyant/bench"
)

// Sample are the figures from the conversation of 2020-06-30 between the people of a small company that this program began with: what they
// measured by hand, once each, on four small machines. They ship so that reports and plans can
// be seen before anything is measured; their profile is "sample".
func Sample() []*bench.Run {
	ubuntu16 := sampleRun("ubuntu16", "ubuntu 16.04", "seed2020", "lightsail", 2400)
	ubuntu16.Tainted, ubuntu16.Why = true, []string{"in service with its memory used, not a bare machine"}
	ubuntu18 := sampleRun("ubuntu18", "ubuntu 18.04", "seed2020", "lightsail", 2400)
	amazon := sampleRun("amazonlinux", "amazon linux 2", "seed2020", "lightsail", 2400)
	azure := sampleRun("azure", "", "seed2020", "azure", 2300)

	for run, t := range map[*bench.Run][3]float64{
		ubuntu16: {100.285, 87.472, 5.472}, // real 1m40.285 user 1m27.472 sys 0m5.472
		ubuntu18: {108.868, 98.127, 9.352},
		amazon:   {102.834, 93.446, 8.052},
	} {
		r := sampleResult("compile.c", "s", bench.Lower, t[0])
		r.Params = map[string]string{"source": "DeleGate"}
		r.Also = []bench.Also{{Name: "user", Value: t[1], Unit: "s"}, {Name: "sys", Value: t[2], Unit: "s"}}
		run.Results = append(run.Results, r)
	}
	for _, run := range []*bench.Run{ubuntu16, ubuntu18, amazon} {
		disk := sampleResult("disk.write.seq", "MB/s", bench.Higher, 70)
		disk.Notes = append(disk.Notes, "4 GB of random data in 60 seconds")
		random := sampleResult("random.urandom", "MB/s", bench.Higher, 50)
		random.Notes = append(random.Notes, "as fast as ssh was: the random data, not the network, set the pace")
		run.Results = append(run.Results, disk, random)
	}
	azure.Results = append(azure.Results, sampleResult("disk.write.seq", "MB/s", bench.Higher, 15))
	azure.Results[0].Notes = append(azure.Results[0].Notes, "1 GB in a little more than one minute, after there was no space left for 4")
	amazon.Results = append(amazon.Results, sampleResult("spawn.hello", "ms", bench.Lower, 1))
	ubuntu16.Results = append(ubuntu16.Results, sampleResult("spawn.hello", "ms", bench.Lower, 2))

	ubuntu16.Results = append(ubuntu16.Results,
		samplePair("ssh.system.aes128gcm", "ubuntu16", "ubuntu18", "MB/s", bench.Higher, 50),
		samplePair("ssh.connect.system", "ubuntu16", "ubuntu18", "ms", bench.Lower, 1000),
		samplePair("ssh.compressed.random", "ubuntu16", "ubuntu18", "MB/s", bench.Higher, 30))
	ubuntu18.Results = append(ubuntu18.Results, samplePair("ssh.system.aes128gcm", "ubuntu18", "amazonlinux", "MB/s", bench.Higher, 100))

	runs := []*bench.Run{ubuntu16, ubuntu18, amazon, azure}
	for i, r := range runs { // one after the other, so that their order is one
		r.Began = r.Began.Add(time.Duration(i) * time.Hour)
		r.Ended = r.Began.Add(time.Minute)
	}
	return slices.Clip(runs)
}

func sampleRun(name, os, cloud, plan string, mhz float64) *bench.Run {
	return &bench.Run{Schema: bench.Schema, ID: "sample-" + name, Profile: "sample", Began: time.Date(2020, 6, 30, 9, 0, 0, 0, time.UTC),
		Tool: bench.Tool{Name: "by hand"}, Host: bench.Host{Name: name, OS: os, OSID: os, MHz: mhz, Cores: 1, Cloud: cloud, Plan: plan}}
}

func sampleResult(name, unit string, better bench.Better, value float64) bench.Result {
	spec, _ := bench.Lookup(name)
	return bench.Result{Name: name, Group: spec.Group, Unit: unit, Better: better, Samples: []float64{value}, Median: value, Min: value, Max: value,
		Notes: []string{"measured once, by hand"}}
}

func samplePair(name, from, to, unit string, better bench.Better, value float64) bench.Result {
	r := sampleResult(name, unit, better, value)
	r.Peer = &bench.Peer{From: from, To: to}
	return r
}
