package life

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// part starts this test program in another part and waits until it is up.
func part(t *testing.T, name string, more ...string) (*exec.Cmd, Process) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "LIFE_PART="+name), more...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("%s said %q (%v)", name, line, err)
	}
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, p
}

func TestParseStat(t *testing.T) {
	const rest = " 1 77 77 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"
	for _, c := range []struct {
		name, text string
		want       stat
		err        bool
	}{
		{"plain", "9 (sh) S" + rest, stat{1, 77, 12345}, false},
		{"brackets and spaces in the name", "9 (a) R (b) S" + rest, stat{1, 77, 12345}, false},
		{"zombie", "9 (sh) Z" + rest, stat{}, true},
		{"cut", "9 (sh) S 1 77", stat{}, true},
		{"no name", "9 S 1", stat{}, true},
		{"empty", "", stat{}, true},
	} {
		got, err := parseStat([]byte(c.text))
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A number that belongs to another process now is not held and so never signalled.
func TestAnotherProcessWithTheSameNumberIsNotHeld(t *testing.T) {
	_, p := part(t, "polite")
	earlier := Process{PID: p.PID, Start: p.Start - 1}
	if _, err := earlier.Hold(); !errors.Is(err, ErrGone) {
		t.Fatalf("held an ended process: %v", err)
	}
	if s, err := Stop(t.Context(), earlier, DefaultSteps(), nil); err != nil || s.By != "" {
		t.Fatalf("stopped a process that had ended: %+v, %v", s, err)
	}
	if now, err := Identify(p.PID); err != nil || now != p {
		t.Fatalf("the bystander was hit: %v, %v", now, err)
	}
}

func TestStopEscalates(t *testing.T) {
	steps := []Step{{unix.SIGTERM, 50 * time.Millisecond}, {unix.SIGINT, 50 * time.Millisecond}, {unix.SIGKILL, 10 * time.Second}}
	for name, c := range map[string]struct {
		steps []Step
		by    string
	}{
		"polite": {DefaultSteps(), "TERM"},
		"deaf":   {steps, "KILL"},
	} {
		_, p := part(t, name)
		var heard []string
		s, err := Stop(t.Context(), p, c.steps, func(line string) { heard = append(heard, line) })
		if err != nil || s.By != c.by {
			t.Errorf("%s: %+v, %v (%q)", name, s, err, heard)
		}
		if _, err := Identify(p.PID); !errors.Is(err, ErrGone) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

func TestStopTakesTheFamilyAlong(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' TERM; (trap '' TERM; echo up; while :; do sleep 60; done) & wait; exit 0")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("heard %q", line)
	}
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	family, err := Family(p)
	if err != nil || len(family) == 0 {
		t.Fatalf("family %v, %v", family, err)
	}
	if _, err := Stop(t.Context(), p, []Step{{unix.SIGTERM, time.Millisecond}, {unix.SIGKILL, 10 * time.Second}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, q := range family {
		h, err := q.Hold()
		if errors.Is(err, ErrGone) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := h.Wait(ctx); err != nil {
			t.Errorf("%s outlived its parent: %v", q, err)
		}
		cancel()
		h.Close()
	}
}

func TestParseSteps(t *testing.T) {
	for text, want := range map[string]string{
		"TERM:10s,INT:5s,KILL":                "[{terminated 10s} {interrupt 5s} {killed 10s}]",
		"SIGHUP:1s,kill:2s":                   "[{hangup 1s} {killed 2s}]",
		" TERM:1m , KILL":                     "[{terminated 1m0s} {killed 10s}]",
		"":                                    "error",
		"TERM,KILL":                           "error",
		"TERM:0s,KILL":                        "error",
		"TERM:-1s":                            "error",
		"TERM:25h":                            "error",
		"NOPE:1s":                             "error",
		strings.Repeat("INT:1s,", 9) + "KILL": "error",
	} {
		steps, err := ParseSteps(text)
		got := fmt.Sprint(steps)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", text, got, err, want)
		}
	}
}

func FuzzParseSteps(f *testing.F) {
	f.Add("TERM:10s,INT:5s,KILL")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := ParseSteps(text)
		if err == nil && (len(steps) == 0 || len(steps) > 8) {
			t.Fatalf("%q: %d steps", text, len(steps))
		}
		for _, s := range steps {
			if s.Limit <= 0 || s.Limit > time.Hour || s.Signal == 0 {
				t.Fatalf("%q: %+v", text, s)
			}
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("9 (a) R (b) S 1 77 77 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"))
	f.Fuzz(func(_ *testing.T, text []byte) { parseStat(text) })
}

func TestHoldersNamesThisProcess(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("no %s here: %v", address, err)
			continue
		}
		defer ln.Close()
		at := ln.Addr().(*net.TCPAddr).AddrPort()
		holders, err := Holders(at.Port())
		if err != nil || len(holders) != 1 {
			t.Fatalf("%s: %v, %v", at, holders, err)
		}
		if h := holders[0]; h.PID != os.Getpid() || h.Address != at || !strings.Contains(h.Command, "life") {
			t.Errorf("%s: %+v", at, h)
		}
	}
}

func TestParseHexAddress(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000000000000000000001000000:01BB": "[::1]:443",
		"0000000000000000FFFF00000100007F:01BB": "127.0.0.1:443",
		"0100007F":                              "",
		"01:1F90":                               "",
		"0100007F:x":                            "",
		"0100007F:FFFFF":                        "",
	} {
		got, err := parseHexAddress(text)
		if err != nil && want == "" {
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}
