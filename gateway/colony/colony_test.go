package colony_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/honeyant/honeyant/gateway/colony"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/fileapi"
	"github.com/honeyant/honeyant/volume/fileapi/server"
	"github.com/honeyant/honeyant/volume/volumetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon serves a colony of one on a socket until it is stopped.
func daemon(t *testing.T, c *volumetest.Cluster) (client *fileapi.Client, stop func()) {
	t.Helper()
	v := c.Open(t, nil)
	files := server.New(func(context.Context) (*volume.Volume, error) { return v, nil })
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: files}
	done := make(chan struct{})
	go func() { defer close(done); h.Serve(ln) }()
	client = fileapi.New(socket, 10*time.Second)
	stop = func() {
		client.Close()
		h.Close()
		<-done
		files.Close(context.Background())
	}
	t.Cleanup(stop)
	return client, stop
}

func TestServesRangesAndETags(t *testing.T) {
	client, stop := daemon(t, volumetest.NewCluster(t, 1, 1<<30))
	content := strings.Repeat("0123456789", 300_000)
	if _, err := client.Write(t.Context(), "/www/big.bin", []byte(content)); err != nil {
		t.Fatal(err)
	}
	site := &colony.FS{Client: client, Root: "/www"}
	for _, name := range []string{"big.bin", "/big.bin", "./big.bin", "/../www/../big.bin"} {
		if i, err := site.Stat(name); err != nil || i.Size() != int64(len(content)) || i.IsDir() {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
	if _, err := site.Open("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	serve := func(headers ...string) *httptest.ResponseRecorder {
		f, err := site.Open("big.bin")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		i, _ := f.Stat()
		r := httptest.NewRequest("GET", "/big.bin", nil)
		for n := 0; n+1 < len(headers); n += 2 {
			r.Header.Set(headers[n], headers[n+1])
		}
		w := httptest.NewRecorder()
		http.ServeContent(w, r, "big.bin", i.ModTime(), f.(io.ReadSeeker))
		return w
	}
	if w := serve(); w.Body.String() != content {
		t.Errorf("the whole file: %d bytes", w.Body.Len())
	}
	if w := serve("Range", "bytes=1999995-2000004"); w.Code != 206 || w.Body.String() != content[1999995:2000005] {
		t.Errorf("a range: %d %q", w.Code, w.Body)
	}
	if w := serve("Range", "bytes=0-4,10-14,-5"); w.Code != 206 || strings.Count(w.Body.String(), "01234") != 2 {
		t.Errorf("three ranges: %d", w.Code)
	}
	before, _ := site.Stat("big.bin")
	f, err := site.Open("big.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := client.Write(t.Context(), "/www/big.bin", []byte(strings.Repeat("abcdefghij", 300_000))); err != nil {
		t.Fatal(err)
	}
	after, _ := site.Stat("big.bin")
	if before.Size() != after.Size() || before.ModTime().Equal(after.ModTime()) {
		t.Errorf("a replaced file of the same size looks the same: %v %v (Y3)", before.ModTime(), after.ModTime())
	}
	mustAbort(t, "a file that was replaced meanwhile (Y2)", func() { io.ReadAll(f) })

	f2, err := site.Open("big.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer f2.Close()
	stop()
	mustAbort(t, "a daemon that went away", func() { io.ReadAll(f2) })
}

// mustAbort checks that f gives up as handlers do, so that a response never looks complete.
func mustAbort(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("%s: %v, want an aborted handler", what, v)
		}
	}()
	f()
}

func TestBigDirectoriesComeInPages(t *testing.T) {
	client, _ := daemon(t, volumetest.NewCluster(t, 1, 1<<30))
	const count = 1010 // more than a page
	for i := range count {
		if _, err := client.Write(t.Context(), fmt.Sprintf("/d/f%04d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	site := &colony.FS{Client: client}
	all, err := fs.ReadDir(site, "d")
	if err != nil || len(all) != count {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	d, err := site.Open("d")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	seen := 0
	for {
		some, err := d.(fs.ReadDirFile).ReadDir(500)
		seen += len(some)
		if err == io.EOF {
			break
		}
		if err != nil || len(some) > 500 {
			t.Fatal(len(some), err)
		}
	}
	if seen != count {
		t.Errorf("%d entries in pieces", seen)
	}
}

// storages are the certificate stores of two nodes of a colony.
func storages(t *testing.T) (a, b *colony.Storage) {
	cluster := volumetest.NewCluster(t, 1, 1<<30)
	open := func() *colony.Storage {
		client, _ := daemon(t, cluster)
		s := colony.NewStorage(client, "/.gw", slog.New(slog.DiscardHandler))
		t.Cleanup(func() { s.Close() })
		return s
	}
	return open(), open()
}

func TestStorage(t *testing.T) {
	a, b := storages(t)
	ctx := t.Context()
	keys := []string{"certificates/ca/example.org/example.org.crt", "certificates/ca/example.org/example.org.key", "acme/user.json"}
	for _, k := range keys {
		if err := a.Store(ctx, k, []byte("value of "+k)); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range keys {
		if v, err := b.Load(ctx, k); err != nil || string(v) != "value of "+k {
			t.Errorf("the other node reads %q, %v", v, err)
		}
	}
	all, err := b.List(ctx, "certificates", true)
	if err != nil || !slices.Contains(all, keys[0]) || len(all) != 4 {
		t.Errorf("list: %v, %v", all, err)
	}
	if i, err := b.Stat(ctx, keys[0]); err != nil || !i.IsTerminal || i.Size != int64(len("value of "+keys[0])) {
		t.Errorf("stat: %+v, %v", i, err)
	}
	if i, err := b.Stat(ctx, "certificates"); err != nil || i.IsTerminal {
		t.Errorf("stat of a directory: %+v, %v", i, err)
	}
	if err := a.Delete(ctx, "certificates"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Load(ctx, keys[0]); !errors.Is(err, fs.ErrNotExist) || b.Exists(ctx, keys[0]) || !b.Exists(ctx, keys[2]) {
		t.Errorf("after delete: %v", err)
	}
}

// A lock excludes other nodes and other tasks of the same one, and waits no longer than its
// context.
func TestStorageLocks(t *testing.T) {
	a, b := storages(t)
	if err := a.Lock(t.Context(), "issue_*.example.org"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*colony.Storage{a, b} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if err := s.Lock(ctx, "issue_*.example.org"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a lock that is held: %v", err)
		}
		cancel()
	}
	if err := a.Unlock(t.Context(), "issue_*.example.org"); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock(t.Context(), "issue_*.example.org"); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlock(t.Context(), "issue_*.example.org"); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlock(t.Context(), "issue_*.example.org"); err == nil {
		t.Error("a lock that is not held was given back")
	}
}
