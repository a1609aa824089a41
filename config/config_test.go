package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
)

var update = flag.Bool("update", false, "write golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func full() *config.Config {
	c := config.Default()
	c.Dir, c.Name, c.Zone, c.Advertise = "/var/lib/honeyant", "ant1", "west-1", "10.1.2.3:7268"
	c.Memory, c.OutAfter, c.FUSETransport, c.LogLevel = 96<<20, 90*time.Minute, "dev", "debug"
	c.Stores = []config.Store{{Path: "/var/lib/honeyant/store", Capacity: 20 << 30}, {Path: "/data/hive"}}
	c.Mounts = []config.Mount{{Volume: "main", Path: "/mnt/honeyant"}}
	return c
}

func TestFormatGolden(t *testing.T) {
	c := config.Default()
	c.Name = "ant1"
	golden(t, "default.toml", config.Format(c))
	golden(t, "full.toml", config.Format(full()))
}

func TestWriteAndLoad(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]*config.Config{
		"defaults": config.Default(),
		"all":      full(),
		"nothing": func() *config.Config {
			c := config.Default()
			c.Stores = []config.Store{}
			return c
		}(),
		"quotes": func() *config.Config {
			c := config.Default()
			c.Stores = []config.Store{{Path: "/a \"b\" \\ c\td/ü"}}
			return c
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := config.Write(dir, c); err != nil {
				t.Fatal(err)
			}
			got, err := config.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			c.Dir = dir
			if name == "defaults" {
				c.Stores[0].Path = filepath.Join(dir, "store")
			}
			if !reflect.DeepEqual(got, c) {
				t.Errorf("got\n%+v\nwant\n%+v", got, c)
			}
		})
	}
	got, err := config.Load(t.TempDir())
	if err != nil || got.Listen != "0.0.0.0:7268" || len(got.Stores) != 1 || !filepath.IsAbs(got.Stores[0].Path) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	bad := config.Default()
	bad.Memory = 1
	if err := config.Write(dir, bad); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("writing a faulty configuration: %v", err)
	}
}

func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		source string
		want   []string // key and words of each fault, in order; "line:key: words"
	}{
		"not TOML":       {"name = \"a\"\nlisten = \n", []string{"2:: expected value"}},
		"misspelt":       {"nmae = \"a\"\n", []string{`1:nmae: did you mean "name"?`}},
		"unknown":        {"colour = \"red\"\n", []string{"1:colour: the keys are name, listen"}},
		"wrong type":     {"name = 3\nlisten = true\n", []string{"1:name: want a text in quotes, not 3", "2:listen: want a text"}},
		"no unit":        {"out_after = 10\n", []string{`1:out_after: say it with its unit`}},
		"bad size":       {"memory = \"lots\"\n", []string{`1:memory: "lots" is no size`}},
		"negative":       {"memory = -5\n", []string{"1:memory: less than none"}},
		"too little":     {"memory = \"50MiB\"\nmetadata_reserve = \"1MiB\"\n", []string{"1:memory: say at least 96MiB", "2:metadata_reserve: at least 64MiB"}},
		"too much":       {"memory = \"900TiB\"\n", []string{"1:memory: more than this machine has"}},
		"transport":      {"fuse_transport = \"usb\"\n", []string{`1:fuse_transport: say auto, uring or dev`}},
		"name":           {"name = \"a b\"\nzone = \"-\"\n", []string{`1:name: "a b" is no name`, "2:zone: is no name"}},
		"addresses":      {"listen = \"7268\"\nadvertise = \"0.0.0.0:7268\"\n", []string{"1:listen: say HOST:PORT", "2:advertise: no address that others can connect to"}},
		"port":           {"listen = \"h:0\"\nadvertise = \"h:99999\"\n", []string{"1:listen: no port", "2:advertise: no port"}},
		"times":          {"down_after = \"1s\"\nflush_interval = \"0s\"\ncall_deadline = \"2d\"\n", []string{"1:down_after: out of range", "2:flush_interval: out of range", "3:call_deadline: between 1s and 1h"}},
		"order of times": {"down_after = \"1m\"\nout_after = \"30s\"\n", []string{"2:out_after: less than down_after (1m)"}},
		"level":          {"log = \"loud\"\n", []string{"1:log: say debug, info, warn or error"}},
		"store keys":     {"[[stores]]\npath = \"a\"\n[[stores]]\npth = \"b\"\n", []string{"0:stores[1].path: say the directory", `4:stores[1].pth: did you mean "path"?`}},
		"store nested":   {"[[stores]]\npath = \"/a\"\n[[stores]]\npath = \"/a/b\"\ncapacity = \"1KiB\"\n", []string{"4:stores[1].path: share a directory", "5:stores[1].capacity: at least 1MiB"}},
		"store table":    {"[stores]\npath = \"/a\"\n", []string{"1:stores: double brackets"}},
		"store number":   {"stores = [1]\n", []string{"1:stores: keys under it"}},
		"mounts":         {"[[mounts]]\npath = \"rel\"\n[[mounts]]\npath = \"/m\"\n[[mounts]]\npath = \"/m/\"\n", []string{"2:mounts[0].path: no absolute path", "6:mounts[2].path: mounts[1] is mounted there"}},
		"mount over":     {"[[stores]]\npath = \"/data/x\"\n[[mounts]]\npath = \"/data\"\nvolume = \"a/b\"\n", []string{"4:mounts[0].path: stores[0] (/data/x) lies in it", "5:mounts[0].volume: is no name"}},
		"mount over dir": {"[[mounts]]\npath = \"/var\"\n", []string{"2:mounts[0].path: the node's own directory", "2:mounts[0].path: stores[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("/var/lib/honeyant", tc.source)
			var faults config.Faults
			if !errors.Is(err, honeyant.Invalid) || !errors.As(err, &faults) {
				t.Fatalf("error %v", err)
			}
			if len(faults) != len(tc.want) {
				t.Fatalf("%d faults, want %d:\n%v", len(faults), len(tc.want), faults)
			}
			for i, want := range tc.want {
				where, words, _ := strings.Cut(want, ": ")
				line, key, _ := strings.Cut(where, ":")
				f := faults[i]
				if itoa(f.Line) != line || f.Key != key || !strings.Contains(f.Text, words) || f.File != config.FileName {
					t.Errorf("fault %d: %+v; want %q", i, f, want)
				}
			}
		})
	}
	// All at once.
	_, err := config.Parse("/d", "nmae = \"x\"\nmemory = 1\nlisten = \"x\"\nout_after = 3\n[[stores]]\n")
	var faults config.Faults
	if errors.As(err, &faults); len(faults) != 5 {
		t.Errorf("want 5 faults:\n%v", err)
	}
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + itoa(n%10)
	}
	return string(rune('0' + n))
}

func TestInlineTables(t *testing.T) {
	c, err := config.Parse("/d", "stores = [{path = \"/a\", capacity = 1073741824}, {path = \"b\"}]\nmounts = [{path = \"/m\"}]\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Store{{Path: "/a", Capacity: 1 << 30}, {Path: "/d/b"}}
	if !reflect.DeepEqual(c.Stores, want) || c.Mounts[0].Volume != "main" {
		t.Errorf("%+v %+v", c.Stores, c.Mounts)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "96MiB": 96 << 20, "96M": 96 << 20, "20GiB": 20 << 30, "20 gib": 20 << 30, "500MB": 5e8,
		"1.5GiB": 3 << 29, "2TB": 2e12, "7k": 7 << 10, "12B": 12, " 1 KiB ": 1024,
	} {
		if got, err := config.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1XB", "1e9", "0x10", "nan", "inf", "9999999999TiB", "1.2.3", "1 2"} {
		if got, err := config.ParseSize(text); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("%q: %d, %v; want a fault", text, got, err)
		}
	}
	for n, want := range map[config.Size]string{0: "0", 1: "1", 1 << 20: "1MiB", 3 << 29: "1536MiB", 5e8: "500000000", 20 << 30: "20GiB", 1536: "1536"} {
		if n.String() != want {
			t.Errorf("%d: %s, want %s", int64(n), n, want)
		}
		if back, err := config.ParseSize(n.String()); err != nil || back != int64(n) {
			t.Errorf("%s back: %d %v", n, back, err)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"10m": 10 * time.Minute, "2d": 48 * time.Hour, "1h30m": 90 * time.Minute, "500ms": time.Second / 2} {
		if got, err := config.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10", "-3s", "d", "1.5d", "ten"} {
		if _, err := config.ParseDuration(text); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The table of rule 37, and that no cap lets the pools pass 60 %.
func TestPools(t *testing.T) {
	const mib = 1 << 20
	want := config.Pools{FUSE: 8 * mib, Write: 8 * mib, ReadAhead: 8 * mib, Streams: 4 * mib, PebbleCache: 4 * mib, PebbleMemtable: 2 * mib, LogMemtable: 2 * mib, Raft: 6 * mib, TLS: 4 * mib, Names: 3 * mib, Journal: 4 * mib}
	if got := config.PoolsFor(96 * mib); got != want || got.Total() != 57*mib {
		t.Errorf("at 96 MiB: %+v, %d bytes in all", got, got.Total())
	}
	last := config.PoolsFor(96 * mib)
	for memory := int64(96 * mib); memory < 1<<40; memory += memory / 7 {
		p := config.PoolsFor(memory)
		if p.Total()*100 > memory*60 {
			t.Errorf("at %v: %d bytes are %d %%", config.Size(memory), p.Total(), p.Total()*100/memory)
		}
		if p.Write < 8*mib || p.Write%(4*mib) != 0 || p.FUSE < last.FUSE || p.Write < last.Write || p.ReadAhead < last.ReadAhead ||
			p.PebbleCache < last.PebbleCache || p.PebbleMemtable < last.PebbleMemtable || p.Names < last.Names || p.Journal < last.Journal {
			t.Errorf("at %v: %+v", config.Size(memory), p)
		}
		last = p
	}
	c := config.Default()
	if c.MemoryBytes() < config.MinMemory {
		t.Errorf("default cap %d", c.MemoryBytes())
	}
	for disk, want := range map[int64]int64{100 << 30: 5 << 30, 8 << 30: 512 * mib, 1 << 30: 256 * mib} {
		if got := c.MetadataReserveOf(disk); got != want {
			t.Errorf("reserve of %v: %v", config.Size(disk), config.Size(got))
		}
	}
}

func TestAddress(t *testing.T) {
	for _, tc := range []struct{ listen, advertise, want string }{
		{"127.0.0.3:7268", "", "127.0.0.3:7268"},
		{"0.0.0.0:7268", "ant.example:99", "ant.example:99"},
		{"host:1", "", "host:1"},
	} {
		c := config.Default()
		c.Listen, c.Advertise = tc.listen, tc.advertise
		if got := c.Address(); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
	c := config.Default()
	if got := c.Address(); strings.HasPrefix(got, "0.0.0.0") || !strings.HasSuffix(got, ":7268") {
		t.Errorf("found out %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(config.Format(full()))
	f.Add("stores = []\nname = 1\n[[mounts]]\npath = '''x\n'''\n")
	f.Fuzz(func(t *testing.T, source string) {
		c, err := config.Parse("/d", source)
		if err != nil {
			if !errors.Is(err, honeyant.Invalid) {
				t.Fatal(err)
			}
			return
		}
		again, err := config.Parse("/d", config.Format(c))
		if err != nil || len(again.Stores) != len(c.Stores) || again.Name != c.Name || again.OutAfter != c.OutAfter {
			t.Fatalf("%v\n%+v\n%+v", err, c, again)
		}
	})
}
