package bench

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// clock tells how this machine keeps time: adjtimex(2).
func (s *session) clock() {
	const name = "cpu.clock"
	if !s.wanted(name) {
		return
	}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		s.skip(Skip{Name: name, Reason: "adjtimex: " + err.Error()})
		return
	}
	s.derive(name, math.Abs(ppm(int64(t.Freq))), func(r *Result) {
		r.Also = []Also{{"signed", ppm(int64(t.Freq)), "ppm"}, {"synchronised", boolean(t.Status&unix.STA_UNSYNC == 0), "yes=1"}, {"estimated_error", float64(t.Esterror) / 1e3, "ms"}}
		if t.Status&unix.STA_UNSYNC != 0 {
			r.Notes = []string{"nothing synchronises the clock here (no NTP): it goes as it goes, and 0 says nothing"}
		}
	})
}

// ppm is the kernel's unit of frequency, 2^-16 parts per million, in ppm.
func ppm(freq int64) float64 { return float64(freq) / 65536 }

// latestBoot is after how many seconds a start of sshd is no part of booting any more.
const latestBoot = 900

// boot tells how long this machine took from the start of its kernel to its sshd.
func (s *session) boot() {
	const name = "spawn.boot"
	if !s.wanted(name) {
		return
	}
	skip := func(why string) { s.skip(Skip{Name: name, Reason: why}) }
	if s.host.Containerised {
		skip("a container does not boot")
		return
	}
	at, ok := oldestStart("/proc", "sshd")
	switch {
	case !ok:
		skip("no sshd runs here (or it is started for each connection)")
	case at > latestBoot:
		skip("sshd was started " + strconv.Itoa(int(at/60)) + " minutes after the boot: that is not how long booting takes")
	default:
		s.derive(name, at, nil)
	}
}

// oldestStart is when the oldest process of that name began, in seconds after the boot:
// field 22 of /proc/PID/stat, proc(5).
func oldestStart(proc, name string) (seconds float64, found bool) {
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	if err != nil {
		return 0, false
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), "(")
		at := strings.LastIndexByte(rest, ')')
		if at < 0 || rest[:at] != name {
			continue
		}
		fields := strings.Fields(rest[at+1:]) // from field 3 on
		if len(fields) < 20 {
			continue
		}
		if v, err := strconv.ParseFloat(fields[19], 64); err == nil && (!found || v/userHZ < seconds) {
			seconds, found = v/userHZ, true
		}
	}
	return seconds, found
}
