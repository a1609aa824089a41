package life

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func newSockets(t *testing.T) *Sockets {
	t.Helper()
	s, err := NewSockets()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// free is an address that nobody listens on at the moment.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func listen(t *testing.T, s *Sockets, address string) net.Listener {
	t.Helper()
	ln, err := s.Listen(t.Context(), address, net.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// Two listeners share one queue; closing the first loses no connection that waits in it.
func TestAWaitingConnectionGoesToTheOtherListener(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, address := newSockets(t), free(t)
	old := listen(t, s, address)
	client, err := net.Dial("tcp", address) // waits in the queue
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	next := listen(t, s, address)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := next.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if s.Live() != 1 {
		t.Errorf("%d live connections", s.Live())
	}
	if err := conn.Close(); err != nil || s.Live() != 0 {
		t.Errorf("after close: %d live, %v", s.Live(), err)
	}
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the socket outlives its last listener")
	}
	if got := s.Addresses(); len(got) != 0 {
		t.Errorf("still held: %v", got)
	}
}

// Accept must end when its listener is closed although copies of the socket live on, as must the accepting itself.
func TestCloseWakesAccept(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, address := newSockets(t), free(t)
	a := listen(t, s, address)
	files, _, err := s.passOn()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	for _, f := range files {
		f.Fd() // as os/exec does
	}
	ended := make(chan error, 1)
	go func() { _, err := a.Accept(); ended <- err }()
	if err := s.StopAccepting(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v", err)
	}
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second close: %v", err)
	}
}

// What comes during a pause waits, also if in between nobody listens, and goes to whoever listens then.
func TestAPauseLosesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, address := newSockets(t), free(t)
	old := listen(t, s, address)
	s.Pause()
	var clients []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	next := listen(t, s, address)
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	var accepted []net.Conn
	for range clients {
		c, err := next.Accept()
		if err != nil {
			t.Fatal(err)
		}
		accepted = append(accepted, c)
	}
	for i, c := range accepted {
		if got := s.Fresh(time.Hour); got != len(accepted)-i {
			t.Errorf("%d fresh connections, want %d", got, len(accepted)-i)
		}
		s.Used(c.RemoteAddr().String())
	}
	for _, c := range accepted {
		c.Close()
	}
	s.Pause()
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the socket is open although nobody listens")
	}
}

func TestATakenPortIsReportedWithItsHolder(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = newSockets(t).Listen(t.Context(), ln.Addr().String(), net.ListenConfig{})
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d (", os.Getpid())) {
		t.Errorf("%v", err)
	}
}

func TestDrainCutsWhatIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, address := newSockets(t), free(t)
	ln := listen(t, s, address)
	defer ln.Close()
	accept := func() (client net.Conn, server net.Conn) {
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server, err = ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, server
	}
	client, server := accept()
	defer client.Close()
	done := make(chan int)
	go func() { done <- s.Drain(t.Context()) }()
	server.Close()
	if cut := <-done; cut != 0 {
		t.Errorf("%d connections cut although all had ended", cut)
	}
	client2, _ := accept()
	defer client2.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if cut := s.Drain(ended); cut != 1 {
		t.Errorf("%d connections cut, want 1", cut)
	}
	if _, err := client2.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client saw %v", err)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		have, asked string
		want        bool
	}{
		{"0.0.0.0:443", ":443", true}, {"[::]:443", ":443", true}, {"[::]:443", "0.0.0.0:443", true},
		{"127.0.0.1:443", ":443", true}, {"127.0.0.1:443", "127.0.0.1:443", true}, {"[::ffff:127.0.0.1]:443", "127.0.0.1:443", true},
		{"0.0.0.0:443", ":444", false}, {"0.0.0.0:443", "127.0.0.1:443", false}, {"0.0.0.0:443", "nonsense", false},
	} {
		if got := covers(netip.MustParseAddrPort(c.have), c.asked); got != c.want {
			t.Errorf("%s for %s: %v", c.have, c.asked, got)
		}
	}
}

// Five generations of a server hand over to one another while clients ask without a pause: nobody is refused.
func TestHandOverUnderLoadLosesNothing(t *testing.T) {
	s, address := newSockets(t), free(t)
	ln := listen(t, s, address)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Used(r.RemoteAddr)
		io.WriteString(w, "0")
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var asked, failed atomic.Int64
	first := make(chan string, 1)
	for range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				resp, err := client.Get("http://" + address)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if err != nil {
					failed.Add(1)
					select {
					case first <- err.Error():
					default:
					}
				}
			}
		})
	}
	var processes []Process
	for i := range 3 {
		p, err := s.HandOver(t.Context(), Successor{Path: os.Args[0], Limit: 20 * time.Second, Steps: DefaultSteps(),
			Environ: append(os.Environ(), "LIFE_PART=successor", "LIFE_ADDRESS="+address, fmt.Sprintf("LIFE_NAME=%d", i+1))})
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, p)
	}
	if err := s.StopAccepting(); err != nil { // from now on the successors serve
		t.Fatal(err)
	}
	for s.Fresh(time.Hour) > 0 { // they are in this process's hands: it must serve them
		runtime.Gosched()
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the old server ended with %v", err)
	}
	body := ""
	if resp, err := http.Get("http://" + address); err == nil {
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		body = string(text)
	}
	close(stop)
	clients.Wait()
	if body == "" || body == "0" {
		t.Errorf("answered by %q", body)
	}
	for _, p := range processes {
		if _, err := Stop(t.Context(), p, DefaultSteps(), nil); err != nil {
			t.Error(err)
		}
	}
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", failed.Load(), asked.Load(), <-first)
	}
}

func TestASuccessorThatDoesNotTakeOverIsEnded(t *testing.T) {
	address := free(t)
	for name, c := range map[string]struct{ part, want string }{
		"ends":    {"successor", "it ended: exit status 1"}, // it was not told the address
		"hangs":   {"deaf", "not ready after"},
		"no such": {"", "starting the successor"},
	} {
		s := newSockets(t)
		ln := listen(t, s, address)
		next := Successor{Path: os.Args[0], Limit: 300 * time.Millisecond, Environ: append(os.Environ(), "LIFE_PART="+c.part, "LIFE_ADDRESS=nowhere"),
			Steps: []Step{{unix.SIGTERM, 20 * time.Millisecond}, {unix.SIGKILL, 10 * time.Second}}}
		if c.part == "" {
			next.Path = t.TempDir() + "/none"
		} else if c.part == "successor" {
			next.Limit = time.Minute
		}
		_, err := s.HandOver(t.Context(), next)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		client, dialErr := net.Dial("tcp", address)
		if dialErr != nil {
			t.Fatalf("%s: the old one does not listen any more: %v", name, dialErr)
		}
		if conn, err := ln.Accept(); err == nil {
			conn.Close()
		} else {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
		ln.Close()
	}
}

func TestPassedSocketsThatNobodyAsksForAreClosed(t *testing.T) {
	s, address := newSockets(t), free(t)
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	in, err := takeOver(fd, "")
	if err != nil {
		t.Fatal(err)
	}
	s.inherited = append(s.inherited, in)
	ln.Close()
	if err := s.CloseUnclaimed(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("somebody can still connect, and would wait for ever")
	}
}

func TestNoSuccessorIsToldWithoutAPredecessor(t *testing.T) {
	if had, err := TellReady(); had || err != nil {
		t.Errorf("%v, %v", had, err)
	}
	t.Setenv(readyFD, "nonsense")
	if had, err := TellReady(); !had || err == nil {
		t.Errorf("%v, %v", had, err)
	}
}

// A connection that waits for the end of a pause is in no server's hands: nobody need wait for its first request.
func TestWhatWaitsForTheEndOfAPauseIsNotFresh(t *testing.T) {
	s, address := newSockets(t), free(t)
	ln := listen(t, s, address)
	defer ln.Close()
	s.Pause()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for end := time.Now().Add(10 * time.Second); s.Live() == 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is not accepted")
		}
	}
	if n := s.Fresh(time.Hour); n != 0 {
		t.Errorf("%d fresh connections during a pause", n)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	got, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if n := s.Fresh(time.Hour); n != 1 {
		t.Errorf("%d fresh connections after it", n)
	}
	if n := s.Fresh(time.Nanosecond); n != 0 {
		t.Errorf("%d connections are younger than a nanosecond", n)
	}
}

// A change is settled when the listener before is closed, and at once where there is no other.
func TestAChangeIsSettledWhenTheOldListenersAreClosed(t *testing.T) {
	s, address := newSockets(t), free(t)
	before := listen(t, s, address)
	defer before.Close()
	settled := s.Change()
	if n := settled(t.Context()); n != 0 {
		t.Errorf("nothing changed, and %d are waited for", n)
	}
	after := listen(t, s, address)
	defer after.Close()
	limited, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if n := settled(limited); n != 1 {
		t.Errorf("%d are open that should be closed, not 1", n)
	}
	before.Close()
	if n := settled(t.Context()); n != 0 {
		t.Errorf("%d are waited for after all are closed", n)
	}
}
