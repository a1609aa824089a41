package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/honeyant/honeyant"
)

// Login is how to get into an ssh server that was started for a measurement.
type Login struct {
	Port    int    `json:"port"`
	User    string `json:"user"`
	Key     []byte `json:"key"`      // private key, as ssh-keygen writes it; good only for this server
	HostKey string `json:"host_key"` // "ssh-ed25519 AAAA..."
}

// knownHost is the line of known_hosts for the server at host.
func (l Login) knownHost(host string) string {
	return fmt.Sprintf("[%s]:%d %s\n", host, l.Port, l.HostKey)
}

// args let ssh use the key and known hosts of a directory and nothing of the user's settings.
func (l Login) args(dir string) []string {
	return []string{"-F", "none", "-p", strconv.Itoa(l.Port), "-l", l.User, "-i", filepath.Join(dir, "user_key"), "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"), "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"}
}

// SSHServer is the system's sshd, started for one measurement by another machine.
type SSHServer struct {
	w *Workspace
	d *privateSSHD
}

// ServeSSH starts the system's sshd on a free port of host ("" for all addresses) with keys
// of its own in a workspace below dir. Whoever has the Login can send data that are thrown
// away, and nothing else. Errors: NotExist if no sshd is installed, Unavailable if it does
// not come up.
func ServeSSH(ctx context.Context, dir, host string) (*SSHServer, error) {
	const op = "bench.ServeSSH"
	if sshdPath() == "" {
		return nil, honeyant.E(op, honeyant.NotExist, "", errors.New("no sshd is installed (apt-get install openssh-server)"))
	}
	w, err := OpenWorkspace(dir)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "0.0.0.0"
	}
	d, err := startSSHD(ctx, w, host)
	if err != nil {
		return nil, errors.Join(honeyant.E(op, honeyant.Unavailable, "", err), w.Close())
	}
	return &SSHServer{w: w, d: d}, nil
}

// Login is what the other machine has to be told.
func (s *SSHServer) Login() Login { return s.d.login }

// Close ends the server and removes its keys.
func (s *SSHServer) Close() error {
	s.d.stop()
	return s.w.Close()
}

// SSHWay is the way by ssh to a host.
type SSHWay struct {
	Peer    Peer
	Host    string // address or name
	Login   *Login // nil: log in as the user of this process would by hand
	Dir     string // where keys are kept meanwhile
	Profile string // Quick or Full; default Quick
	Gentle  bool
	// Progress is told of each step. May be nil.
	Progress func(Event)

	hurry bool
	only  []string
}

// MeasureSSH measures the way to a host by ssh: the group ssh of a run. Errors: NotExist if
// the system's ssh is missing, Unavailable if the host does not let us in, both in one
// plain sentence; that of ctx.
func MeasureSSH(ctx context.Context, w SSHWay) ([]Result, []Skip, error) {
	const op = "bench.SSH"
	if needs := missing([]string{"ssh"}, Options{SSH: w.Host}); len(needs) > 0 {
		return nil, nil, honeyant.E(op, honeyant.NotExist, "", errors.New("the OpenSSH client is not installed here (apt-get install openssh-client)"))
	}
	o := Options{Groups: []string{"ssh"}, Profile: w.Profile, Gentle: w.Gentle, Dir: w.Dir, Node: w.Peer.FromNode, Progress: w.Progress, hurry: w.hurry, Only: w.only}.withDefaults()
	s := &session{Options: o, pace: o.pace(), run: &Run{}, host: &Host{Name: w.Peer.From}, left: time.Now()}
	target := &sshTarget{name: w.Peer.To, args: append(sshAlways(), "--", w.Host)}
	if w.Login != nil {
		work, err := OpenWorkspace(w.Dir)
		if err != nil {
			return nil, nil, err
		}
		defer work.Close()
		if err := errors.Join(os.WriteFile(filepath.Join(work.path, "user_key"), w.Login.Key, 0o600),
			os.WriteFile(filepath.Join(work.path, "known_hosts"), []byte(w.Login.knownHost(w.Host)), 0o600)); err != nil {
			return nil, nil, honeyant.E(op, honeyant.KindOfSystem(err), work.path, err)
		}
		target.private = true
		target.args = append(append(sshAlways(), w.Login.args(work.path)...), "--", w.Host)
	}
	if err := target.try(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, honeyant.E(op, honeyant.Unavailable, w.Peer.To, err)
	}
	err := s.sshTo(ctx, target, &w.Peer)
	if err != nil && ctx.Err() == nil {
		s.skip(Skip{Name: "ssh", Peer: &w.Peer, Reason: err.Error()})
		err = nil
	}
	return s.run.Results, s.run.Skipped, err
}

// SSHAnswers tells whether an ssh server says its name on port 22 of host, within a few seconds.
func SSHAnswers(ctx context.Context, host string) bool {
	return saysSSH(ctx, net.JoinHostPort(host, "22"))
}

func saysSSH(ctx context.Context, addr string) bool {
	const wait = 3 * time.Second
	d := net.Dialer{Timeout: wait}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(wait))
	head := make([]byte, 4)
	n, err := conn.Read(head)
	return err == nil && n == len(head) && string(head) == "SSH-"
}
