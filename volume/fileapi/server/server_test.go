package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/fileapi"
	"github.com/honeyant/honeyant/volume/fileapi/server"
	"github.com/honeyant/honeyant/volume/volumetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a volume on a socket and answers a client.
func start(t *testing.T, c *volumetest.Cluster) *fileapi.Client {
	t.Helper()
	v := c.Open(t, nil)
	files := server.New(func(context.Context) (*volume.Volume, error) { return v, nil })
	mux := http.NewServeMux()
	mux.Handle(fileapi.Prefix, files)
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); h.Serve(ln) }()
	client := fileapi.New(socket, 10*time.Second)
	t.Cleanup(func() {
		client.Close()
		h.Close()
		<-done
		files.Close(context.Background())
	})
	return client
}

func get(t *testing.T, c *fileapi.Client, p string, version uint64, offset, length int64) (string, error) {
	t.Helper()
	r, err := c.Read(t.Context(), p, version, offset, length)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestWriteReadListRemove(t *testing.T) {
	c := start(t, volumetest.NewCluster(t, 1, 1<<30))
	ctx := t.Context()
	big := strings.Repeat("0123456789abcdef", 200_000) // 3.2 MB: more than one piece
	s, err := c.Write(ctx, "/www/a/big.bin", []byte(big))
	if err != nil || s.Size != int64(len(big)) || s.Name != "big.bin" {
		t.Fatalf("write: %+v, %v", s, err)
	}
	if got, err := get(t, c, "/www/a/big.bin", s.Version, 0, s.Size); err != nil || got != big {
		t.Fatalf("read back %d bytes, %v", len(got), err)
	}
	if got, err := get(t, c, "/www/a/big.bin", s.Version, 1<<20-3, 7); err != nil || got != big[1<<20-3:1<<20+4] {
		t.Fatalf("a range: %q, %v", got, err)
	}
	newer, err := c.Write(ctx, "/www/a/big.bin", []byte("short"))
	if err != nil || newer.Size != 5 {
		t.Fatalf("replace: %+v, %v", newer, err)
	}
	if _, err := get(t, c, "/www/a/big.bin", s.Version, 0, 5); !errors.Is(err, honeyant.Stale) {
		t.Errorf("reading the old version (F3): %v", err)
	}
	for i := range 25 {
		if _, err := c.Write(ctx, fmt.Sprintf("/www/dir/f%02d", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	seen, pages := map[string]bool{}, 0
	for cookie := uint64(0); ; {
		p, err := c.List(ctx, "/www/dir", cookie, 10)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, e := range p.Entries {
			if strings.HasPrefix(e.Name, ".") || seen[e.Name] {
				t.Errorf("%s is left over or there twice", e.Name)
			}
			seen[e.Name] = true
		}
		if cookie = p.Cookie; cookie == 0 {
			break
		}
	}
	if len(seen) != 25 || pages != 3 {
		t.Errorf("%d names on %d pages", len(seen), pages)
	}
	if err := c.Remove(ctx, "/www"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stat(ctx, "/www/dir/f00"); !errors.Is(err, honeyant.NotExist) {
		t.Errorf("after remove: %v", err)
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	c := start(t, volumetest.NewCluster(t, 1, 1<<30))
	ctx := t.Context()
	if _, err := c.Write(ctx, "/f", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		err  error
		want honeyant.Kind
	}{
		{"no such file", second(c.Stat(ctx, "/nothing")), honeyant.NotExist},
		{"below a file", second(c.Stat(ctx, "/f/g")), honeyant.NotDir},
		{"no name", second(c.Write(ctx, "/", nil)), honeyant.Invalid},
		{"the root", c.Remove(ctx, "/"), honeyant.NotPermitted},
		{"a directory read", second(get(t, c, "/", 0, 0, 1)), honeyant.IsDir},
		{"no owner", second(c.Lock(ctx, "/l", "", time.Second)), honeyant.Invalid},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %s", test.name, test.err, test.want)
		}
	}
	if s, err := c.Stat(ctx, "/../../f/."); err != nil || s.Size != 1 {
		t.Errorf("a path with dots stays within the volume: %+v, %v", s, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Two daemons of one colony: a lock is held by one process at a time, renewed by its owner, and
// free again when it is given back or runs out (F4).
func TestLocksExcludeAndRunOut(t *testing.T) {
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	a, b := start(t, cluster), start(t, cluster)
	ctx := t.Context()
	take := func(c *fileapi.Client, owner string, ttl time.Duration, want bool) {
		t.Helper()
		if got, err := c.Lock(ctx, "/locks/x", owner, ttl); err != nil || got != want {
			t.Fatalf("%s asks: %v, %v; want %v", owner, got, err, want)
		}
	}
	take(a, "one", time.Minute, true)
	take(a, "one", time.Minute, true) // renewed
	take(a, "two", time.Minute, false)
	take(b, "three", time.Minute, false)
	if err := b.Unlock(ctx, "/locks/x", "three"); err != nil {
		t.Fatal(err)
	}
	take(b, "three", time.Minute, false)
	if err := a.Unlock(ctx, "/locks/x", "one"); err != nil {
		t.Fatal(err)
	}
	take(b, "three", 50*time.Millisecond, true)
	for deadline := time.Now().Add(5 * time.Second); ; {
		got, err := a.Lock(ctx, "/locks/x", "one", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if got {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a lock that nobody renews does not run out")
		}
	}
}

// A server that is closed gives back what its processes hold, and takes nothing more.
func TestCloseGivesLocksBack(t *testing.T) {
	c := volumetest.NewCluster(t, 1, 1<<30)
	v := c.Open(t, nil)
	files := server.New(func(context.Context) (*volume.Volume, error) { return v, nil })
	lock := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		files.ServeHTTP(w, httptest.NewRequest(http.MethodPost, fileapi.Prefix+"lock?path=/l&owner=one&ttl_ms=60000", nil))
		return w
	}
	if w := lock(); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "true") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	other := start(t, c)
	if got, err := other.Lock(t.Context(), "/l", "two", time.Minute); err != nil || got {
		t.Fatalf("granted twice: %t, %v", got, err)
	}
	files.Close(t.Context())
	if got, err := other.Lock(t.Context(), "/l", "two", time.Minute); err != nil || !got {
		t.Errorf("after the close: %t, %v", got, err)
	}
	if w := lock(); w.Code == http.StatusOK && strings.Contains(w.Body.String(), "true") {
		t.Errorf("a closed server took a lock: %s", w.Body)
	}
}

func TestNoDaemonIsAnErrorAtOnce(t *testing.T) {
	c := fileapi.New(filepath.Join(t.TempDir(), "nobody"), time.Minute)
	if _, err := c.Stat(t.Context(), "/x"); !errors.Is(err, honeyant.Unavailable) || !strings.Contains(err.Error(), "honeyant serve") {
		t.Errorf("no daemon: %v", err)
	}
}

// A daemon that accepts and never answers: the call ends with the client's limit (F1).
func TestSilentDaemonIsAnErrorInTime(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := fileapi.New(socket, 50*time.Millisecond)
	if _, err := c.Stat(t.Context(), "/x"); !errors.Is(err, honeyant.Unavailable) {
		t.Errorf("a silent daemon: %v", err)
	}
	if _, err := c.Read(t.Context(), "/x", 0, 0, 1); !errors.Is(err, honeyant.Unavailable) {
		t.Errorf("a silent daemon, read: %v", err)
	}
}
