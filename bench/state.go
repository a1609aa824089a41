package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks are the processor times of /proc/stat, in clock ticks over all processors, and
// what this process and its finished children used of them.
type ticks struct {
	total, idle, iowait, steal float64
	own                        float64
}

// userHZ is the unit of /proc/stat; Linux shows 100 to programs on every architecture we build for.
const userHZ = 100

func readTicks() ticks {
	t := ticks{own: ownSeconds() * userHZ}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	line, _, _ := strings.Cut(string(text), "\n")
	// user nice system idle iowait irq softirq steal; guest time is in user already.
	for i, f := range strings.Fields(strings.TrimPrefix(line, "cpu")) {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil || i > 7 {
			break
		}
		t.total += v
		switch i {
		case 3:
			t.idle = v
		case 4:
			t.iowait = v
		case 7:
			t.steal = v
		}
	}
	return t
}

// ownSeconds is the processor time of this process and of the children it has waited for.
func ownSeconds() float64 {
	sum := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += seconds(u.Utime) + seconds(u.Stime)
		}
	}
	return sum
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// since tells what happened between from and t.
func (t ticks) since(from ticks) During {
	total := t.total - from.total
	if total <= 0 {
		return During{}
	}
	pct := func(v float64) float64 { return min(max(100*v/total, 0), 100) }
	idle := (t.idle - from.idle) + (t.iowait - from.iowait)
	steal := t.steal - from.steal
	own := t.own - from.own
	return During{OwnPct: pct(own), StealPct: pct(steal), IOWaitPct: pct(t.iowait - from.iowait), OthersPct: pct(total - idle - steal - own)}
}

// glance is the cheap part of a State.
func glance() State {
	s := State{Time: time.Now().UTC(), MemFree: memInfo("MemAvailable")}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscanf(string(text), "%g", &s.Load1)
	}
	return s
}

// watch looks at the machine for d.
func watch(ctx context.Context, d time.Duration) State {
	from, procs, disks, began := readTicks(), processTimes(), diskTimes(), time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	to := readTicks().since(from)
	s := glance()
	s.BusyPct, s.StealPct, s.IOWaitPct = to.OthersPct, to.StealPct, to.IOWaitPct
	passed := time.Since(began)
	for name, ms := range diskTimes() {
		if was, ok := disks[name]; ok {
			s.DiskBusy = max(s.DiskBusy, min(100*float64(ms-was)/float64(passed.Milliseconds()+1), 100))
		}
	}
	best := 0.0
	for pid, now := range processTimes() {
		used := now.ticks - procs[pid].ticks
		if pid == os.Getpid() || used <= best {
			continue
		}
		if share := 100 * used / userHZ / passed.Seconds(); share >= 1 {
			best, s.TopProcess = used, fmt.Sprintf("%s (%.0f %%)", now.name, share)
		}
	}
	return s
}

type processTime struct {
	name  string
	ticks float64
}

// processTimes are the processor times of all processes that can be seen.
func processTimes() map[int]processTime {
	all := map[int]processTime{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return all
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		open, shut := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
		if open < 0 || shut < open {
			continue
		}
		fields := strings.Fields(string(text[shut+1:]))
		if len(fields) < 13 {
			continue
		}
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		all[pid] = processTime{name: string(text[open+1 : shut]), ticks: user + system}
	}
	return all
}

// diskTimes are the milliseconds that each disk has been busy, of /proc/diskstats.
func diskTimes() map[string]int64 {
	all := map[string]int64{}
	f, err := os.Open("/proc/diskstats")
	if err != nil {
		return all
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 13 || strings.HasPrefix(fields[2], "loop") || strings.HasPrefix(fields[2], "ram") {
			continue
		}
		if ms, err := strconv.ParseInt(fields[12], 10, 64); err == nil {
			all[fields[2]] = ms
		}
	}
	return all
}

// memInfo is a line of /proc/meminfo in bytes, 0 if unknown.
func memInfo(key string) int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		if fields := strings.Fields(rest); name == key && len(fields) > 0 {
			kb, _ := strconv.ParseInt(fields[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// The bounds beyond which a machine was not idle. Below, the clock ticks of /proc/stat
// are too coarse to tell.
const (
	busyBound  = 10.0 // % of all processors used by others
	stealBound = 2.0  // % of all processors
)

// busy says in words why a State means that the machine was in use; nothing if idle.
func (s State) busy() (why []string) {
	if s.BusyPct > busyBound {
		top := ""
		if s.TopProcess != "" {
			top = ", most of all " + s.TopProcess
		}
		why = append(why, fmt.Sprintf("other programs used %.0f %% of the processors%s", s.BusyPct, top))
	}
	if s.StealPct > stealBound {
		why = append(why, fmt.Sprintf("the host gave %.0f %% of the processor time to others", s.StealPct))
	}
	if s.DiskBusy > 20 {
		why = append(why, fmt.Sprintf("a disk was busy %.0f %% of the time", s.DiskBusy))
	}
	return why
}

// taint says in words what disturbed a measurement.
func (d During) taint() (why []string) {
	if d.OthersPct > busyBound {
		why = append(why, fmt.Sprintf("other programs used %.0f %% of the processors", d.OthersPct))
	}
	if d.StealPct > stealBound {
		why = append(why, fmt.Sprintf("the host gave %.0f %% of the processor time to others", d.StealPct))
	}
	return why
}
