package bench

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dnsServer answers every question over UDP with one name server, and returns its address.
func dnsServer(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			q := 12 + 1 + 4 // header, the root's name, type and class
			if n < q {
				continue
			}
			answer := append([]byte{}, b[:q]...)
			copy(answer[2:12], []byte{0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}) // an answer, one question, one record
			// the root, NS, IN, an hour, 3 bytes: the name "a."
			answer = append(answer, 0, 0, 2, 0, 1, 0, 0, 14, 16, 0, 3, 1, 'a', 0)
			conn.WriteTo(answer, from)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

func TestNameServer(t *testing.T) {
	if d, err := askRoot(t.Context(), dnsServer(t)); err != nil || d <= 0 {
		t.Errorf("%s, %v", d, err)
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := silent.LocalAddr().String()
	silent.Close()
	if _, err := askRoot(t.Context(), addr); err == nil || !strings.Contains(err.Error(), addr+" does not answer") {
		t.Errorf("nobody answers there: %v", err)
	}
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for text, want := range map[string]string{
		"# a comment\nsearch x\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n": "10.0.0.2:53",
		"nameserver fd00::1\n": "[fd00::1]:53",
		"options edns0\n":      "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := nameServer(path); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestBootIsTheOldestProcessOfItsName(t *testing.T) {
	proc := t.TempDir()
	for pid, stat := range map[string]string{
		"1":   "1 (systemd) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12 0 0",
		"700": "700 (sshd) S 1 700 700 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0",
		"900": "900 (sshd) S 700 900 900 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9999 0 0",
		"901": "901 (odd (sshd) S) S 700 900 900 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0",
		"902": "902 (sshd) S",
	} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if at, ok := oldestStart(proc, "sshd"); !ok || at != 12.34 {
		t.Errorf("%g %v, want 12.34 s", at, ok)
	}
	if _, ok := oldestStart(proc, "dropbear"); ok {
		t.Error("found what is not there")
	}
}

func TestClockCorrection(t *testing.T) {
	if got := ppm(-65536 * 12); got != -12 {
		t.Errorf("%g ppm", got)
	}
	p, err := MakePlan(t.Context(), Options{Groups: []string{"cpu"}, Only: []string{"cpu.clock"}, hurry: true})
	if err != nil {
		t.Fatal(err)
	}
	run, err := Execute(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if r := run.Find("cpu.clock"); r == nil && len(run.Skipped) != 1 || r != nil && (r.Median < 0 || len(r.Also) != 3) {
		t.Errorf("%+v, left out %+v", r, run.Skipped)
	}
}

func TestWayBySSH(t *testing.T) {
	if sshdPath() == "" || len(missing([]string{"ssh"}, Options{SSH: "x"})) > 0 {
		t.Skip("ssh and sshd are needed: apt-get install openssh-server openssh-client")
	}
	dir := fastDir(t)
	server, err := ServeSSH(t.Context(), dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	login := server.Login()
	way := SSHWay{Peer: Peer{From: "a", To: "b"}, Host: "127.0.0.1", Login: &login, Dir: dir, hurry: true,
		only: []string{"ssh.connect.own", "ssh.own.aes128gcm"}}
	if !testing.Short() { // a dozen connections
		results, skipped, err := MeasureSSH(t.Context(), way)
		if err != nil || len(skipped) != 0 || len(results) != 2 {
			t.Errorf("%d results, left out %+v, %v", len(results), skipped, err)
		}
		for _, r := range results {
			if r.Median <= 0 || r.Params["server"] != "private" || r.Peer == nil || r.Peer.To != "b" {
				t.Errorf("%s: %+v", r.Name, r)
			}
		}
	}
	// The key opens nothing but the receiver.
	target := &sshTarget{name: "b", args: append(append(sshAlways(), login.args(filepath.Join(server.w.path, "sshd"))...), "--", "127.0.0.1")}
	out, err := target.command(t.Context(), "id; echo secret").CombinedOutput()
	if err != nil || string(out) != "ready\ndone\n" {
		t.Errorf("a command of the client's choice ran: %q, %v", out, err)
	}
	wrong := login
	wrong.HostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	way.Login = &wrong
	if _, _, err := MeasureSSH(t.Context(), way); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("another host key: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	way.Login = &login
	if _, _, err := MeasureSSH(t.Context(), way); err == nil || !strings.Contains(err.Error(), "no sshd answers on b") {
		t.Errorf("a host without sshd: %v", err)
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
}

func TestSSHIsKnownByItsName(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, greeting := range []string{"SSH-2.0-x\r\n", "HTTP/1.1 400\r\n"} {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte(greeting))
			conn.Close()
		}
	}()
	if !saysSSH(t.Context(), ln.Addr().String()) || saysSSH(t.Context(), ln.Addr().String()) {
		t.Error("taken for what it is not")
	}
	<-done
	ln.Close()
	if saysSSH(t.Context(), ln.Addr().String()) {
		t.Error("nobody answers there")
	}
}

func TestSpent(t *testing.T) {
	r, w := diskBytes(strings.NewReader("rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n"))
	if r != 4096 || w != 8192 {
		t.Errorf("%d read, %d written", r, w)
	}
	sent := sentBytes(strings.NewReader(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0
  eth0: 5 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth1:5 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0
`))
	if sent != 120 {
		t.Errorf("%d sent", sent)
	}
	if got := *(&Spent{10, 20, 30}).since(&Spent{1, 2, 3}); got != (Spent{9, 18, 27}) {
		t.Errorf("%+v", got)
	}
}
