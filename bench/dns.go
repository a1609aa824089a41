package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// dnsWait bounds the wait for one answer; what takes longer is asked again by resolvers.
const dnsWait = 2 * time.Second

// dnsAsks is how many questions a sample has.
const dnsAsks = 4

// dns measures the name service that programs of this machine use.
func (s *session) dns(ctx context.Context) error {
	const name = "net.dns"
	server, err := nameServer("/etc/resolv.conf")
	if err != nil {
		s.skip(Skip{Name: name, Reason: err.Error()})
		return nil
	}
	h := &histogram{}
	_, err = s.measure(ctx, name, probe{lat: h, unit: "ms", params: map[string]string{"server": server}, sample: func(ctx context.Context, _ time.Duration) (float64, error) {
		var times []time.Duration
		for range dnsAsks {
			d, err := askRoot(ctx, server)
			if err != nil {
				return 0, err
			}
			h.add(d)
			times = append(times, d)
		}
		return MedianOf(times), nil
	}})
	return err
}

// nameServer is the first server of a resolv.conf(5), with its port.
func nameServer(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			return net.JoinHostPort(f[1], "53"), nil
		}
	}
	return "", errors.New("no name server stands in " + path)
}

// askRoot asks a server for the name servers of the root zone, which every resolver knows,
// and returns the time until the answer.
func askRoot(ctx context.Context, server string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsWait)
	defer cancel()
	r := net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}
	began := time.Now()
	if _, err := r.LookupNS(ctx, "."); err != nil {
		return 0, fmt.Errorf("the name server %s does not answer: %w", server, err)
	}
	return time.Since(began), nil
}
