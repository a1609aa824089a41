package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"time"
)

// net measures TCP and TLS within the machine: the bound that no network can beat. The way
// to other nodes is measured by package bench/pair.
func (s *session) net(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server, client, err := tlsConfigs(key)
	if err != nil {
		return err
	}
	for _, how := range []struct {
		name string
		tls  bool
	}{{"net.loopback.tcp", false}, {"net.loopback.tls", true}} {
		a, b, err := loopback(ctx)
		if err != nil {
			return err
		}
		if how.tls {
			a, b = tls.Client(a, client), tls.Server(b, server)
		}
		source := NewSource()
		_, err = s.measure(ctx, how.name, probe{length: s.pace.net, finish: source.Finish, sample: func(ctx context.Context, d time.Duration) (float64, error) {
			return stream(ctx, source, a, b, d)
		}})
		a.Close()
		b.Close()
		if err != nil {
			return err
		}
	}
	if err := s.loopbackRTT(ctx); err != nil {
		return err
	}
	return s.dns(ctx)
}

// loopback makes a TCP connection within the machine.
func loopback(ctx context.Context) (a, b net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	var d net.Dialer
	if a, err = d.DialContext(ctx, "tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = ln.Accept(); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

func (s *session) loopbackRTT(ctx context.Context) error {
	a, b, err := loopback(ctx)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1)
		for {
			if _, err := io.ReadFull(b, buf); err != nil {
				return
			}
			if _, err := b.Write(buf); err != nil {
				return
			}
		}
	}()
	h := &histogram{}
	buf := []byte{1}
	_, err = s.measure(ctx, "net.loopback.rtt", probe{length: s.pace.net, lat: h, unit: "µs", sample: func(ctx context.Context, d time.Duration) (float64, error) {
		return latencies(ctx, d, h, 1e3, func() error {
			a.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := a.Write(buf); err != nil {
				return err
			}
			_, err := io.ReadFull(a, buf)
			return err
		})
	}})
	a.Close()
	b.Close()
	<-done
	return err
}
