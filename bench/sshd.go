package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshdPath is the system's OpenSSH server, "" if there is none. Like all who start it we
// need its full path.
func sshdPath() string {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/lib/ssh/sshd", "/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// privateSSHD is the system's sshd with keys and settings of our own, on a port of one
// address that only this run knows. It lets in the user of the run, by one key, and does
// nothing for that user but swallow what is sent: no shell, no forwarding, no terminal.
type privateSSHD struct {
	dir     string
	address string
	port    int
	login   Login
	cmd     *exec.Cmd
	said    *bytes.Buffer
	done    chan struct{}
}

func startSSHD(ctx context.Context, w *Workspace, address string) (*privateSSHD, error) {
	d := &privateSSHD{dir: filepath.Join(w.path, "sshd"), address: address, said: &bytes.Buffer{}, done: make(chan struct{})}
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("private sshd: %w", err)
	}
	d.cmd = exec.CommandContext(ctx, sshdPath(), "-D", "-e", "-f", filepath.Join(d.dir, "config"))
	d.cmd.Stderr = d.said
	ownGroup(d.cmd)
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("private sshd: %w", err)
	}
	go func() {
		defer close(d.done)
		d.cmd.Wait() // stop tells it to end
	}()
	if err := d.await(ctx); err != nil {
		d.stop()
		said, _, _ := strings.Cut(strings.TrimSpace(d.said.String()), "\n")
		return nil, fmt.Errorf("private sshd: %w: %s", err, said)
	}
	return d, nil
}

// prepare writes keys and settings and chooses a port.
func (d *privateSSHD) prepare() error {
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	hostKey, _, err := d.key("host_key")
	if err != nil {
		return err
	}
	userKey, private, err := d.key("user_key")
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(d.address, "0"))
	if err != nil {
		return err
	}
	d.port = ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return err
	}
	if me.Uid == "0" {
		// The privilege separation directory of the packaged sshd; made at boot where sshd is a service.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
	}
	config := fmt.Sprintf("ListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nAllowUsers %s\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nUseDNS no\nMaxStartups 100\nCompression yes\nForceCommand %s\nDisableForwarding yes\nPermitTTY no\nPermitUserRC no\n",
		net.JoinHostPort(d.address, strconv.Itoa(d.port)), filepath.Join(d.dir, "host_key"), filepath.Join(d.dir, "user_key.pub"), me.Username, receiver)
	d.login = Login{Port: d.port, User: me.Username, Key: private, HostKey: strings.TrimSpace(string(hostKey))}
	known := d.login.knownHost(d.address)
	return errors.Join(os.WriteFile(filepath.Join(d.dir, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(d.dir, "user_key.pub"), userKey, 0o600),
		os.WriteFile(filepath.Join(d.dir, "known_hosts"), []byte(known), 0o600))
}

// key makes an Ed25519 key in a file and returns its public line and its private text.
func (d *privateSSHD) key(name string) (line, text []byte, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "honeyant bench")
	if err != nil {
		return nil, nil, err
	}
	p, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	text = pem.EncodeToMemory(block)
	return ssh.MarshalAuthorizedKey(p), text, os.WriteFile(filepath.Join(d.dir, name), text, 0o600)
}

// await waits until it answers.
func (d *privateSSHD) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(reachable(d.address), strconv.Itoa(d.port)))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-d.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return errors.New("it does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// reachable is an address that a listener on that address can be reached at from this machine.
func reachable(address string) string {
	if ip := net.ParseIP(address); address == "" || ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return address
}

// clientArgs let ssh use this server and nothing of the user's settings.
func (d *privateSSHD) clientArgs() []string { return d.login.args(d.dir) }

func (d *privateSSHD) stop() {
	if d.cmd.Process != nil {
		d.cmd.Cancel()
	}
	<-d.done
}
