package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/honeyant/honeyant/gateway/control"
)

// systemd finds nothing to complain of in the units, once the program stands where they say.
func TestUnitsAreGood(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"honeyant-gateway.service", "honeyant-gateway.socket"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "dist", name))
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(dir, name)
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/honeyant-gateway", program)), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, unit)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// A socket that systemd holds is used, not opened a second time; it goes on to a successor; and once nobody holds it
// but systemd, a connection waits there until the gateway is back.
func TestASocketOfSystemdIsUsed(t *testing.T) {
	t.Parallel()
	need(t, "systemd-socket-activate")
	g := &gateway{t: t, dir: t.TempDir(), address: free(t), log: &lockedBuffer{}, globals: globals}
	g.config = filepath.Join(g.dir, "Caddyfile")
	g.write(fmt.Sprintf(answers, 1))
	g.client = &control.Client{Dir: control.Dir(filepath.Join(g.dir, "control"))}
	text, err := os.Create(filepath.Join(g.dir, "log")) // the successor outlives what was started here
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	cmd := exec.Command("systemd-socket-activate", "-l", g.address, "-E", "XDG_DATA_HOME="+g.dir, "-E", "XDG_CONFIG_HOME="+g.dir,
		program, "run", "--config", g.config, "--control", string(g.client.Dir))
	cmd.Stdout, cmd.Stderr = text, text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.run("stop", "--escalate", "TERM:5s,INT:2s,KILL")
		cmd.Process.Signal(syscall.SIGKILL) // if it was never asked anything
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(text.Name())
			t.Log(string(log))
		}
	})
	passed := ""
	eventually(t, "systemd listens", 10*time.Second, func() bool {
		passed, err = os.Readlink(fmt.Sprintf("/proc/%d/fd/3", cmd.Process.Pid))
		return err == nil && strings.HasPrefix(passed, "socket:")
	})
	serves := func(when string) {
		t.Helper()
		if err := ask(t.Context(), httpClient(false, false), http.MethodGet, "https://"+g.address+"/x", "served 1"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	serves("the first request starts it")
	holds := func() int {
		var s control.Status
		eventually(t, "it says that it serves", 10*time.Second, func() bool {
			s, err = g.client.Status(t.Context())
			return err == nil
		})
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.PID))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == passed {
				return s.PID
			}
		}
		t.Errorf("process %d does not hold %s", s.PID, passed)
		return s.PID
	}
	first := holds()
	g.must("upgrade")
	if second := holds(); second == first {
		t.Error("the successor is the same process")
	}
	serves("after an upgrade")
}

// systemd hears that the gateway is ready once it serves, and of its end; of one that can not serve it hears nothing.
func TestSystemdHearsWhatIsTrue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		site func(address string) string
		want []string
	}{
		"a good configuration": {func(a string) string { return "http://" + a + " {\n\trespond \"here\"\n}\n" }, []string{"READY=1", "STOPPING=1"}},
		"a bad one":            {func(a string) string { return "http://" + a + " {\n\tnonsense\n}\n" }, nil},
		"a port that is taken": {func(string) string { return "http://" + taken(t) + " {\n\trespond \"here\"\n}\n" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			config := filepath.Join(dir, "Caddyfile")
			if err := os.WriteFile(config, []byte(globals+test.site(free(t))), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "run", "--config", config, "--control", filepath.Join(dir, "control"))
			cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
			log := &lockedBuffer{}
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			var heard []string
			said := make([]byte, 4096)
			for {
				conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if n, err := conn.Read(said); err == nil {
					if heard = append(heard, string(said[:n])); len(heard) == 1 && test.want != nil {
						cmd.Process.Signal(syscall.SIGTERM)
					}
					continue
				}
				select {
				case err := <-ended:
					if (err == nil) != (test.want != nil) || !slices.Equal(heard, test.want) {
						t.Errorf("it ended with %v and systemd heard %q, want %q: %s", err, heard, test.want, log)
					}
					return
				case <-time.After(10 * time.Millisecond):
				}
				if t.Context().Err() != nil {
					cmd.Process.Kill()
				}
			}
		})
	}
}

// taken is an address on which somebody listens until the test is over.
func taken(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}
