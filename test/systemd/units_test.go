package systemd_test

import (
	"strings"
	"testing"
	"time"
)

const (
	gatewayUnit = "honeyant-gateway.service"
	socketUnit  = "honeyant-gateway.socket"
	nodeUnit    = "honeyant.service"
)

func answers(text string) string { return ":80 {\n\trespond \"" + text + "\"\n}\n" }

// TestUnits: one container for all, since it takes some seconds to boot.
func TestUnits(t *testing.T) {
	c := boot(t)
	for _, part := range []struct {
		name string
		run  func(*container)
	}{{"gateway", gatewayLives}, {"socket", socketHolds}, {"node", nodeLives}} {
		t.Run(part.name, func(t *testing.T) {
			whole := c.t
			c.t = t
			defer func() { c.t = whole }()
			part.run(c)
		})
	}
}

// gatewayLives: started, reloaded well and badly, killed, upgraded, stopped.
func gatewayLives(c *container) {
	const config = "/etc/honeyant/Caddyfile"
	says := func(want string) {
		c.t.Helper()
		if got := c.get(); got != want {
			c.t.Fatalf("the gateway answers %q, want %q", got, want)
		}
	}
	c.write(config, answers("one"))
	c.do("systemctl", "start", gatewayUnit) // returns when it has said that it is ready
	says("one")

	c.write(config, answers("two"))
	c.do("systemctl", "reload", gatewayUnit)
	says("two")

	c.write(config, ":80 {\n\tnonsense\n}\n")
	if out, err := c.try("systemctl", "reload", gatewayUnit); err == nil {
		c.t.Errorf("a reload with a bad configuration succeeds: %s", out)
	}
	says("two")
	if s := c.property(gatewayUnit, "ActiveState"); s != "active" {
		c.t.Errorf("after a bad reload the unit is %s", s)
	}

	c.write(config, answers("three"))
	first := c.property(gatewayUnit, "MainPID")
	c.do("systemctl", "kill", "--kill-who=main", "-s", "KILL", gatewayUnit)
	took := c.until(10*time.Second, "the gateway after kill -9", func() bool { return c.get() == "three" })
	c.t.Logf("a killed gateway answered again after %s", took.Round(10*time.Millisecond))

	second := c.property(gatewayUnit, "MainPID")
	if second == first {
		c.t.Errorf("main process %s was killed and is still the main one", first)
	}
	stop := c.keepAsking("three")
	out := c.do("honeyant-gateway", "upgrade")
	c.until(30*time.Second, "systemd to follow the successor", func() bool { return c.property(gatewayUnit, "MainPID") != second })
	if asked, failed := stop(); asked == 0 || failed > 0 {
		c.t.Errorf("%d of %d requests failed during an upgrade: %s", failed, asked, out)
	}
	if s := c.property(gatewayUnit, "ActiveState"); s != "active" {
		c.t.Errorf("after an upgrade the unit is %s", s)
	}
	says("three")

	c.do("systemctl", "stop", gatewayUnit)
	if s := c.property(gatewayUnit, "ActiveState"); s != "inactive" {
		c.t.Errorf("after stop the unit is %s", s)
	}
	if left, err := c.try("pgrep", "-a", "honeyant-gatewa"); err == nil {
		c.t.Errorf("after stop these are left: %s", left)
	}
}

// keepAsking asks the gateway again and again until stop, which tells how often and how often the answer was another than want.
func (c *container) keepAsking(want string) (stop func() (asked, failed int)) {
	over, done := make(chan struct{}), make(chan struct{})
	asked, failed := 0, 0
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			default:
			}
			asked++
			if got := c.get(); got != want {
				failed++
				c.t.Logf("answered %q", got)
			}
		}
	}()
	return func() (int, int) { close(over); <-done; return asked, failed }
}

// socketHolds: systemd holds the ports, a request starts the gateway, and a restart refuses nobody.
func socketHolds(c *container) {
	c.do("systemctl", "start", socketUnit)
	if got := c.get(); got != "three" { // starts it
		c.t.Fatalf("the gateway behind the socket answers %q", got)
	}
	stop := c.keepAsking("three")
	c.do("systemctl", "restart", gatewayUnit)
	if asked, failed := stop(); asked == 0 || failed > 0 {
		c.t.Errorf("%d of %d requests failed during a restart behind the socket", failed, asked)
	}
	c.do("systemctl", "stop", socketUnit, gatewayUnit)
}

// nodeLives: a node is started, killed, started again by systemd with its mount, and stopped with nothing lost.
func nodeLives(c *container) {
	c.do("honeyant", "init", "--listen", "127.0.0.1:7268", "--advertise", "127.0.0.1:7268", "--capacity", "1GiB")
	c.do("systemctl", "start", nodeUnit)
	c.do("mkdir", "-p", "/mnt/colony")
	c.do("honeyant", "mount", "/mnt/colony")
	c.do("sh", "-c", "echo kept >/mnt/colony/file && sync /mnt/colony/file")
	read := func() string { out, _ := c.try("cat", "/mnt/colony/file"); return out }

	c.do("systemctl", "kill", "--kill-who=main", "-s", "KILL", nodeUnit)
	took := c.until(20*time.Second, "the mount after kill -9", func() bool { return read() == "kept\n" })
	c.t.Logf("a killed node had its mount again after %s", took.Round(10*time.Millisecond))

	c.do("sh", "-c", "echo later >/mnt/colony/late")
	c.do("systemctl", "stop", nodeUnit)
	if s := c.property(nodeUnit, "ActiveState"); s != "inactive" {
		c.t.Errorf("after stop the unit is %s (%s)", s, c.property(nodeUnit, "Result"))
	}
	if mounts := c.do("cat", "/proc/mounts"); strings.Contains(mounts, "/mnt/colony") {
		c.t.Error("after stop its mount is still there")
	}
	c.do("systemctl", "start", nodeUnit)
	c.until(20*time.Second, "the mount after a start", func() bool {
		out, _ := c.try("cat", "/mnt/colony/late")
		return out == "later\n"
	})
	c.do("systemctl", "stop", nodeUnit)
}
