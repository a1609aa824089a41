package uring

import (
	"slices"
	"testing"
)

func TestFitStaysWithinMemory(t *testing.T) {
	for name, c := range map[string]struct {
		memory, cpus   int
		payload, depth int // 0: refused
	}{
		"one CPU, the least memory":   {8 << 20, 1, 256 << 10, 32},
		"two CPUs, the least memory":  {8 << 20, 2, 128 << 10, 32},
		"four CPUs, the least memory": {8 << 20, 4, 128 << 10, 16},
		"eight CPUs":                  {8 << 20, 8, 128 << 10, 8},
		"sixteen CPUs":                {8 << 20, 16, 64 << 10, 8},
		"too many CPUs":               {8 << 20, 64, 0, 0},
		"two CPUs, 2 GB of RAM":       {33 << 20, 2, 512 << 10, 33},
		"much memory":                 {512 << 20, 2, 1 << 20, 64},
	} {
		t.Run(name, func(t *testing.T) {
			online := make([]int, c.cpus)
			for i := range online {
				online[i] = i
			}
			l, err := fit(c.memory, online, c.cpus+5)
			if c.payload == 0 {
				if err == nil {
					t.Fatalf("got %+v, want a refusal", l)
				}
				return
			}
			if err != nil || l.Payload != c.payload || l.Depth != c.depth {
				t.Fatalf("got payload %d, depth %d, %v; want %d, %d", l.Payload, l.Depth, err, c.payload, c.depth)
			}
			if l.Payload*l.Depth*c.cpus > c.memory {
				t.Errorf("%+v takes more than %d bytes", l, c.memory)
			}
			depths := l.depths()
			if len(depths) != c.cpus+5 || slices.Min(depths) < 1 {
				t.Errorf("depths %v: a CPU that may come has none", depths)
			}
		})
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string][]int{
		"0": {0}, "0-3": {0, 1, 2, 3}, "0,2-3,8": {0, 2, 3, 8},
		"": nil, "x": nil, "3-1": nil, "1,0": nil, "-1": nil, "0-": nil, "0-99999999": nil,
	} {
		got, err := parseCPUs(list)
		if (err != nil) != (want == nil) || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", list, got, err, want)
		}
	}
}

func FuzzParseCPUs(f *testing.F) {
	f.Add("0-3,7")
	f.Fuzz(func(t *testing.T, list string) {
		all, err := parseCPUs(list)
		if err == nil && (len(all) == 0 || !slices.IsSorted(all)) {
			t.Errorf("%q: %v", list, all)
		}
	})
}
