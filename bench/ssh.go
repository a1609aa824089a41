package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// receiver is what runs at the other end: it says when it is there, swallows everything,
// and says when it has it all.
const receiver = "echo ready; cat >/dev/null; echo done"

// ssh measures the way to a host through ssh: the system's client, and our own.
func (s *session) ssh(ctx context.Context) error {
	target, err := s.sshTarget(ctx)
	if err != nil {
		return err
	}
	defer target.close()
	if err := target.try(ctx); err != nil {
		return err
	}
	return s.sshTo(ctx, target, &Peer{From: s.host.Name, To: target.name, FromNode: s.Node})
}

// sshTo measures the way to a host that lets us in.
func (s *session) sshTo(ctx context.Context, target *sshTarget, peer *Peer) error {
	if err := s.sshConnects(ctx, target, peer); err != nil {
		return err
	}
	random, text := noise(streamData, 12), corpus(streamData)
	for _, c := range []struct{ name, cipher string }{
		{"aes128gcm", "aes128-gcm@openssh.com"}, {"aes256gcm", "aes256-gcm@openssh.com"}, {"chacha20", "chacha20-poly1305@openssh.com"},
	} {
		params := target.params("cipher", c.cipher)
		if _, err := s.measure(ctx, "ssh.system."+c.name, probe{length: s.pace.net, params: params, peer: peer, crowded: true, finish: sourceOf(random), sample: func(ctx context.Context, d time.Duration) (float64, error) {
			return target.pour(ctx, random, d, "-c", c.cipher, "-o", "Compression=no")
		}}); err != nil {
			return err
		}
		if _, err := s.measure(ctx, "ssh.own."+c.name, probe{length: s.pace.net, params: params, peer: peer, crowded: true, finish: sourceOf(random), sample: func(ctx context.Context, d time.Duration) (float64, error) {
			return target.pourOwn(ctx, random, d, c.cipher)
		}}); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		name, compress string
		data           []byte
	}{{"ssh.compressed.random", "yes", random}, {"ssh.compressed.text", "yes", text}, {"ssh.plain.text", "no", text}} {
		params := target.params("cipher", "aes128-gcm@openssh.com", "compression", c.compress)
		if _, err := s.measure(ctx, c.name, probe{length: s.pace.net, params: params, peer: peer, crowded: true, finish: sourceOf(c.data), sample: func(ctx context.Context, d time.Duration) (float64, error) {
			return target.pour(ctx, c.data, d, "-c", "aes128-gcm@openssh.com", "-o", "Compression="+c.compress)
		}}); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf notes how fast data are at hand.
func sourceOf(data []byte) func(*Result) { return func(r *Result) { SourceSpeed(r, data) } }

// sshConnects measures how long it takes until one is in: 4 connections a sample.
func (s *session) sshConnects(ctx context.Context, target *sshTarget, peer *Peer) error {
	for _, how := range []struct {
		name string
		once func(context.Context) error
	}{
		{"ssh.connect.system", func(ctx context.Context) error { return target.command(ctx, "true").Run() }},
		{"ssh.connect.own", func(ctx context.Context) error {
			c, err := target.dial(ctx, "")
			if err != nil {
				return err
			}
			return c.Close()
		}},
	} {
		h := &histogram{}
		each := s.pace.tries() / s.pace.repeats
		if _, err := s.measure(ctx, how.name, probe{lat: h, unit: "ms", peer: peer, crowded: true, params: target.params("connections", fmt.Sprint(s.pace.tries())),
			sample: func(ctx context.Context, _ time.Duration) (float64, error) {
				one := &histogram{}
				for range each {
					at := time.Now()
					if err := how.once(ctx); err != nil {
						return 0, err
					}
					one.add(time.Since(at))
				}
				h.merge(one)
				return one.quantile(.5) / 1e6, nil
			}}); err != nil {
			return err
		}
	}
	return nil
}

// sshWait bounds connecting and logging in.
const sshWait = 20 * time.Second

// sshTarget is a host that the system's ssh reaches without being asked anything.
type sshTarget struct {
	name string   // as people call it
	args []string // of ssh, before the command; the host is the last
	own  *privateSSHD
	set  *settings // of ssh -G, asked once
	// private says that the server is one that was started for this measurement: it knows
	// one key and asks neither PAM nor the name service, so that connecting is faster.
	private bool
}

// params are what must be equal for two figures to be compared: pairs of names and values.
func (t *sshTarget) params(pairs ...string) map[string]string {
	p := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		p[pairs[i]] = pairs[i+1]
	}
	if t.private {
		p["server"] = "private"
	}
	return p
}

// sshTarget is the host that was named, or this machine through a private sshd.
func (s *session) sshTarget(ctx context.Context) (*sshTarget, error) {
	if s.SSH != "" {
		return &sshTarget{name: s.SSH, args: append(sshAlways(), "--", s.SSH)}, nil
	}
	w, err := s.workspace()
	if err != nil {
		return nil, err
	}
	d, err := startSSHD(ctx, w, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	return &sshTarget{name: "loopback", own: d, args: append(append(sshAlways(), d.clientArgs()...), "--", "127.0.0.1")}, nil
}

// sshAlways are the options of every call of the system's ssh: it must never ask anything.
func sshAlways() []string {
	return []string{"-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ControlPath=none", "-o", "LogLevel=ERROR"}
}

func (t *sshTarget) close() {
	if t.own != nil {
		t.own.stop()
	}
}

// command is ssh with a command for the other end.
func (t *sshTarget) command(ctx context.Context, remote string, extra ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ssh", append(append(append([]string{}, extra...), t.args...), remote)...)
	ownGroup(cmd)
	return cmd
}

// try logs in once and says in plain words why that is not possible.
func (t *sshTarget) try(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, sshWait)
	defer cancel()
	out, err := t.command(wait, "true").CombinedOutput()
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(string(out))
	switch {
	case wait.Err() != nil:
		return fmt.Errorf("%s did not answer within %s", t.name, sshWait)
	case strings.Contains(said, "Permission denied"):
		return fmt.Errorf("%s does not let us in without a password; put a key there: ssh-copy-id %s", t.name, t.name)
	case strings.Contains(said, "Host key verification failed"):
		return fmt.Errorf("%s is not known yet; connect once by hand: ssh %s", t.name, t.name)
	case strings.Contains(said, "Connection refused"):
		return fmt.Errorf("no sshd answers on %s", t.name)
	}
	lines := strings.Split(said, "\n")
	return fmt.Errorf("ssh %s: %s", t.name, strings.TrimSpace(lines[len(lines)-1]))
}

// pour sends data for d through the system's ssh and returns MB/s, without the time that
// connecting takes.
func (t *sshTarget) pour(ctx context.Context, data []byte, d time.Duration, extra ...string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*sshWait+4*d)
	defer cancel()
	cmd := t.command(ctx, receiver, extra...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	v, err := pourInto(in, out, data, d)
	if err != nil {
		cancel()
	}
	if waited := cmd.Wait(); err != nil || waited != nil {
		return 0, fmt.Errorf("%w: %s", errors.Join(err, waited), strings.TrimSpace(said.String()))
	}
	return v, nil
}

// pourInto waits for the receiver, sends for d, and waits until all has arrived.
func pourInto(in io.WriteCloser, out io.Reader, data []byte, d time.Duration) (float64, error) {
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		return 0, errors.Join(fmt.Errorf("the other end said %q instead of ready", line), err, in.Close())
	}
	const piece = 256 << 10
	began, n, at := time.Now(), 0, 0
	for time.Since(began) < d {
		k, err := in.Write(data[at : at+piece])
		n += k
		if err != nil {
			return 0, errors.Join(err, in.Close())
		}
		at = (at + piece) % (len(data) - piece)
	}
	if err := in.Close(); err != nil {
		return 0, err
	}
	if line, err := lines.ReadString('\n'); err != nil || line != "done\n" {
		return 0, errors.Join(errors.New("the other end did not say that it has everything"), err)
	}
	return float64(n) / 1e6 / time.Since(began).Seconds(), nil
}
