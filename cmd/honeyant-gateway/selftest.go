package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/life"
	"github.com/honeyant/honeyant/gateway/selftest"
)

// selftestFlags are what selftest asks.
type selftestFlags struct {
	against, origin, print, start string
	full                          bool
	only                          []int
}

func newSelftest(o *options) *cobra.Command {
	var flags selftestFlags
	c := &cobra.Command{
		Use: "selftest", Short: "play thirty faults through the gateway, or through any proxy", Args: cobra.NoArgs,
		Long: "Plays an origin and clients that stall, drip, reset, lie and never close, and says for each of thirty faults what client and origin saw,\n" +
			"what was logged, and whether it was over within its limit. Without --against a gateway of its own is started with short deadlines.\n" +
			"With --against the proxy there is tried as it is configured: it must pass " + selftest.Prefix + "/PORT/* to the origin's six ports, which\n" +
			"--origin fixes; --print-config shows how (honeyant, caddy, nginx, haproxy).\nExit code 1 if a fault was not survived.",
		Example: "  honeyant gateway selftest\n  honeyant gateway selftest --only 2,3,22\n" +
			"  honeyant gateway selftest --origin 127.0.0.1:9100 --print-config honeyant\n  honeyant gateway selftest --origin 127.0.0.1:9100 --against https://example.org --full",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range flags.only {
				if n < 1 || n > len(selftest.Faults()) {
					return command.Usagef("--only %d: the faults are numbered from 1 to %d", n, len(selftest.Faults()))
				}
			}
			return runSelftest(cmd.Context(), o, flags)
		},
	}
	f := c.Flags()
	f.StringVar(&flags.against, "against", "", "where the proxy to be tried serves, such as https://example.org")
	f.StringVar(&flags.origin, "origin", "127.0.0.1:0", "address of the misbehaving origin; its six ports follow one another, 0: free ones")
	f.StringVar(&flags.print, "print-config", "", "print a configuration for "+strings.Join(selftest.Proxies(), ", ")+" and wait, playing the origin, until interrupted")
	f.StringVar(&flags.start, "start", "", "with --print-config: instead of waiting, start the proxy by this shell line, in which {} is the file, and try it")
	f.BoolVar(&flags.full, "full", false, "expect the default deadlines (up to 60 s) instead of short ones")
	f.IntSliceVar(&flags.only, "only", nil, "only the faults of these numbers")
	return c
}

func runSelftest(ctx context.Context, o *options, flags selftestFlags) (err error) {
	host, port, splitErr := net.SplitHostPort(flags.origin)
	first, portErr := strconv.ParseUint(port, 10, 16)
	if splitErr != nil || portErr != nil || net.ParseIP(host) == nil {
		return command.Usagef("--origin %s is no address; write 127.0.0.1:9100", flags.origin)
	}
	origin, err := selftest.NewOrigin(host, int(first))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, origin.Close()) }()
	limits := selftest.Short()
	if flags.full {
		limits = selftest.Defaults()
	}
	dir, err := os.MkdirTemp("", "honeyant-selftest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := selftest.ConfigOptions{Origin: origin, Limits: limits, Listen: "127.0.0.1:8443", Cert: filepath.Join(dir, "front.pem"), Key: filepath.Join(dir, "front.pem"),
		Authority: filepath.Join(dir, "origin-ca.pem")}
	if err := errors.Join(os.WriteFile(config.Authority, origin.Authority(), 0o644), writeFront(config.Cert)); err != nil {
		return err
	}
	if flags.print != "" && flags.start == "" {
		return printConfig(ctx, flags.print, config)
	}
	opts := selftest.Options{Origin: origin, Limits: limits, Only: flags.only, Code: logged(ctx, o.client())}
	if opts.Program, err = os.Executable(); err != nil {
		return err
	}
	if flags.against != "" {
		opts.Front, err = url.Parse(flags.against)
		if err != nil || opts.Front.Host == "" {
			return command.Usagef("--against %s is no address; write https://example.org", flags.against)
		}
	} else {
		own, startErr := startOwn(ctx, dir, opts.Program, flags, config)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, own.stop(context.WithoutCancel(ctx))) }()
		opts.Front, opts.Code = own.front, logged(ctx, own.client)
		if flags.start != "" {
			opts.Program = "" // what the gateway has for faults of the process says nothing of another
		}
	}
	if !o.json {
		fmt.Fprintf(os.Stderr, "%d faults at once, at most %s each ...\n", len(selftest.Faults()), limits.Idle+limits.RateAfter+2*limits.Slack)
	}
	rows, err := selftest.Run(ctx, opts)
	if err != nil {
		return err
	}
	return showSelftest(o, rows)
}

func showSelftest(o *options, rows []selftest.Row) error {
	bad := 0
	var lines [][]string
	for _, r := range rows {
		if r.Verdict == selftest.Wrong || r.Verdict == selftest.Hung {
			bad++
		}
		lines = append(lines, []string{fmt.Sprint(r.Number), r.Title, string(r.Verdict), fmt.Sprintf("%.1f / %.0f", r.Seconds, r.Limit), r.Code, r.Client, r.Origin, r.Note})
	}
	if o.json {
		if err := command.PrintJSON(os.Stdout, rows); err != nil {
			return err
		}
	} else {
		printTable(os.Stdout, []string{"#", "fault", "verdict", "s / limit", "code", "client saw", "origin saw", "note"}, lines)
		fmt.Printf("\n%d of %d survived.\n", len(rows)-bad-skippedIn(rows), len(rows)-skippedIn(rows))
	}
	if bad > 0 {
		return command.Silent(command.Failed)
	}
	return nil
}

func skippedIn(rows []selftest.Row) (n int) {
	for _, r := range rows {
		if r.Verdict == selftest.Skipped {
			n++
		}
	}
	return n
}

// logged asks the gateway what it logged for the request with a token.
func logged(ctx context.Context, c *control.Client) func(string) string {
	return func(token string) string {
		rows, err := c.Recent(ctx)
		if err != nil {
			return "" // another proxy, or a gateway elsewhere
		}
		for _, r := range rows {
			if strings.Contains(r.Path, token) && r.Done != nil && r.Done.Code != "" {
				return r.Done.Code
			}
		}
		return ""
	}
}

// writeFront makes the certificate of the proxy under test, which its clients do not check: that is not what is tried.
func writeFront(path string) error {
	cert, key, err := selftest.SelfSigned("127.0.0.1")
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	return os.WriteFile(path, text, 0o600)
}

func printConfig(ctx context.Context, kind string, config selftest.ConfigOptions) error {
	text, err := selftest.Config(kind, config)
	if err != nil {
		return command.Usagef("--print-config: %v", err)
	}
	fmt.Print(text)
	fmt.Fprintln(os.Stderr, "The origin plays along until this is interrupted (ctrl-c).")
	<-ctx.Done()
	return nil
}

// ownGateway is one started for a self-test.
type ownGateway struct {
	child  *life.Child
	front  *url.URL
	client *control.Client
	log    *os.File
}

// startOwn starts the gateway, or another proxy as the flags say.
func startOwn(ctx context.Context, dir, program string, flags selftestFlags, config selftest.ConfigOptions) (*ownGateway, error) {
	kind := "honeyant"
	if flags.start != "" {
		kind = flags.print
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config.Listen = ln.Addr().String()
	if err := ln.Close(); err != nil {
		return nil, err
	}
	text, err := selftest.Config(kind, config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	g := &ownGateway{front: &url.URL{Scheme: "https", Host: config.Listen}, client: &control.Client{Dir: control.Dir(filepath.Join(dir, "control"))}}
	if g.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "run", "--config", file, "--control", string(g.client.Dir))
	if flags.start != "" {
		cmd = exec.Command("sh", "-c", "exec "+strings.ReplaceAll(flags.start, "{}", file))
		cmd.Dir = dir
	}
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = g.log, g.log
	if g.child, err = life.StartChild(cmd); err != nil {
		return nil, errors.Join(err, g.log.Close())
	}
	if err := g.await(ctx); err != nil {
		return nil, errors.Join(err, g.stop(context.WithoutCancel(ctx)))
	}
	return g, nil
}

// await waits until the gateway serves.
func (g *ownGateway) await(ctx context.Context) error {
	const limit = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // its certificate was made a moment ago
	for {
		if c, err := d.DialContext(ctx, "tcp", g.front.Host); err == nil {
			return c.Close()
		}
		select {
		case <-g.child.Done():
			text, err := os.ReadFile(g.log.Name())
			return errors.Join(fmt.Errorf("the gateway ended: %w\n%s", g.child.Err(), lastLines(string(text), 5)), err)
		case <-ctx.Done():
			return fmt.Errorf("the gateway did not serve within %s", limit)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (g *ownGateway) stop(ctx context.Context) error {
	_, err := g.child.Stop(ctx, []life.Step{{Signal: unix.SIGTERM, Limit: 3 * time.Second}, {Signal: unix.SIGINT, Limit: 3 * time.Second}, {Signal: unix.SIGKILL, Limit: 10 * time.Second}}, nil)
	return errors.Join(err, g.log.Close())
}
