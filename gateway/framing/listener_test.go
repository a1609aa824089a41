package framing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/honeyant/honeyant/gateway/framing"
)

// listen is a listener for TLS that is read along.
func listen(t *testing.T, handshake time.Duration) net.Listener {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := framing.WrapListener(tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"}}), handshake)
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// What agreed on HTTP/2 comes as it is (F4); of HTTP/1 the bytes come unchanged (F1), and one that begins like HTTP/2 ends.
// A client that is slow with its handshake holds nobody up.
func TestHTTP2IsHandedOnAsItIs(t *testing.T) {
	l := listen(t, time.Minute)
	dial(t, l) // says nothing
	for _, test := range []struct {
		protos     []string
		text, want string
		whole      bool
	}{
		{[]string{"h2"}, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true},
		{[]string{"http/1.1"}, "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", false},
		{nil, "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", false},
		{nil, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", false},
	} {
		c := tls.Client(dial(t, l), &tls.Config{InsecureSkipVerify: true, NextProtos: test.protos})
		go func() {
			io.WriteString(c, test.text)
			c.Close()
		}()
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, whole := got.(*tls.Conn); whole != test.whole {
			t.Errorf("%v: a %T came", test.protos, got)
		}
		text, err := io.ReadAll(got)
		if string(text) != test.want || err != nil {
			t.Errorf("%v: %q came, %v", test.protos, text, err)
		}
		got.Close()
	}
}

// A handshake that fails is left to net/http, which logs it.
func TestAFailedHandshakeIsHandedOn(t *testing.T) {
	l := listen(t, 50*time.Millisecond)
	for name, c := range map[string]net.Conn{"in time": dial(t, l), "no TLS": dial(t, l)} {
		if name == "no TLS" {
			io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		}
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := got.(*tls.Conn).Handshake(); err == nil {
			t.Errorf("%s: the handshake is good", name)
		}
		got.Close()
	}
}

// Close ends Accept and the handshakes that run, and what is ready but was not taken.
func TestCloseLeavesNothing(t *testing.T) {
	l := listen(t, time.Minute)
	waits := tls.Client(dial(t, l), &tls.Config{InsecureSkipVerify: true})
	first := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
		first <- err
	}()
	if err := waits.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	slow, ready := dial(t, l), tls.Client(dial(t, l), &tls.Config{InsecureSkipVerify: true})
	if err := ready.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"slow": slow, "ready": ready} {
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: the connection goes on: %v", name, err)
		}
	}
	if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted %v, %v", c, err)
	}
}

// failing has no descriptors at first.
type failing struct {
	net.Listener
	once sync.Once
}

func (f *failing) Accept() (net.Conn, error) {
	err := error(nil)
	f.once.Do(func() { err = &net.OpError{Op: "accept", Err: syscall.EMFILE} })
	if err != nil {
		return nil, err
	}
	return f.Listener.Accept()
}

// An error of the listener below is told to the server, and the next connection is accepted all the same.
func TestErrorsOfAcceptAreTold(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := framing.WrapListener(&failing{Listener: inner}, time.Minute)
	defer l.Close()
	if c, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("accepted %v, %v", c, err)
	}
	io.WriteString(dial(t, l), "x")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if framing.Of(c) != c {
		t.Errorf("a %T came", c)
	}
}
