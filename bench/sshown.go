package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// settings are what the system's ssh would use for a host: the answer of `ssh -G`.
type settings struct {
	host, port, user string
	keys             []string // private keys
	known            []string // files of known hosts
	alias            string   // name under which the host's key is known
}

// settings asks ssh what it would do, so that our client does the same.
func (t *sshTarget) settings(ctx context.Context) (*settings, error) {
	if t.set != nil {
		return t.set, nil
	}
	out, err := t.commandG(ctx)
	if err != nil {
		return nil, err
	}
	v := &settings{port: "22"}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		switch key {
		case "hostname":
			v.host = value
		case "port":
			v.port = value
		case "user":
			v.user = value
		case "identityfile":
			v.keys = append(v.keys, homePath(value))
		case "userknownhostsfile", "globalknownhostsfile":
			for _, file := range strings.Fields(value) {
				v.known = append(v.known, homePath(file))
			}
		case "hostkeyalias":
			v.alias = value
		case "proxycommand", "proxyjump":
			if value != "none" && value != "" {
				return nil, fmt.Errorf("ssh reaches the host through %s %s, which only the system's ssh can do", key, value)
			}
		}
	}
	t.set = v
	return v, nil
}

func (t *sshTarget) commandG(ctx context.Context) (string, error) {
	cmd := t.command(ctx, "", "-G")
	cmd.Args = cmd.Args[:len(cmd.Args)-1] // no command
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ssh -G: %w", err)
	}
	return string(out), nil
}

func homePath(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// dial logs in with our own client, with the keys, user and known hosts of the system's.
// An empty cipher leaves the choice to both ends.
func (t *sshTarget) dial(ctx context.Context, cipher string) (*ssh.Client, error) {
	v, err := t.settings(ctx)
	if err != nil {
		return nil, err
	}
	config, done, err := v.clientConfig()
	if err != nil {
		return nil, err
	}
	defer done()
	if cipher != "" {
		config.Ciphers = []string{cipher}
	}
	addr := net.JoinHostPort(v.host, v.port)
	dialer := net.Dialer{Timeout: sshWait}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(sshWait))
	name := addr
	if v.alias != "" {
		name = net.JoinHostPort(v.alias, v.port)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, name, config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// clientConfig collects keys of the agent and of files without a passphrase. done is to
// be called when logged in.
func (v *settings) clientConfig() (config *ssh.ClientConfig, done func(), err error) {
	done = func() {}
	var known []string
	for _, file := range v.known {
		if _, err := os.Stat(file); err == nil {
			known = append(known, file)
		}
	}
	check, err := knownhosts.New(known...)
	if err != nil {
		return nil, done, err
	}
	var signers []ssh.Signer
	for _, file := range v.keys {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if signer, err := ssh.ParsePrivateKey(text); err == nil {
			signers = append(signers, signer)
		}
	}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		if conn, err := net.Dial("unix", socket); err == nil {
			done = func() { conn.Close() }
			if held, err := agent.NewClient(conn).Signers(); err == nil {
				signers = append(signers, held...)
			}
		}
	}
	if len(signers) == 0 {
		return nil, done, errors.New("no key without a passphrase and no agent: our own client can not log in")
	}
	config = &ssh.ClientConfig{User: v.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, HostKeyCallback: check, Timeout: sshWait}
	config.HostKeyAlgorithms = knownAlgorithms(check, net.JoinHostPort(v.host, v.port))
	return config, done, nil
}

// knownAlgorithms lists the kinds of key by which a host is known, so that it does not
// show another one; nil if it is not known, which the check then refuses.
func knownAlgorithms(check ssh.HostKeyCallback, addr string) (list []string) {
	var fault *knownhosts.KeyError
	if err := check(addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &fault) {
		return nil
	}
	for _, k := range fault.Want {
		if k.Key.Type() == ssh.KeyAlgoRSA {
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		}
		list = append(list, k.Key.Type())
	}
	return list
}

// noKey is no host's key: asking for it makes knownhosts tell which keys it wants.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// pourOwn is pour with our own client.
func (t *sshTarget) pourOwn(ctx context.Context, data []byte, d time.Duration, cipher string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*sshWait+4*d)
	defer cancel()
	c, err := t.dial(ctx, cipher)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	session, err := c.NewSession()
	if err != nil {
		return 0, err
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := session.Start(receiver); err != nil {
		return 0, err
	}
	return pourInto(in, out, data, d)
}
