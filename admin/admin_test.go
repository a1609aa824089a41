package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
)

type question struct {
	Path string `json:"path"`
}

type answer struct {
	SizeBytes int `json:"size_bytes"`
}

func serve(t *testing.T) *admin.Client {
	t.Helper()
	dir := t.TempDir()
	methods := admin.Methods{
		"size": admin.Typed(func(_ context.Context, q question) (answer, error) {
			if q.Path == "" {
				return answer{}, honeyant.E("test.Size", honeyant.NotExist, "path", errors.New("there is none"))
			}
			return answer{len(q.Path)}, nil
		}),
		"wait": func(ctx context.Context, _ json.RawMessage) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
	}
	s, err := admin.Listen(dir, methods, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	info, err := os.Stat(filepath.Join(dir, admin.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v; only its owner may command the daemon", info.Mode(), err)
	}
	return admin.NewClient(dir)
}

func TestCallCarriesAnswersAndKinds(t *testing.T) {
	c := serve(t)
	ctx := t.Context()
	var a answer
	if err := c.Call(ctx, "size", question{"/a/b"}, &a); err != nil || a.SizeBytes != 4 {
		t.Errorf("answer %+v, %v", a, err)
	}
	err := c.Call(ctx, "size", question{}, &a)
	if !errors.Is(err, honeyant.NotExist) || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("the daemon's error came as %v", err)
	}
	if admin.Unreachable(err) {
		t.Error("an answered error counts as unreachable")
	}
}

func TestCallRefusesWhatItDoesNotKnow(t *testing.T) {
	c := serve(t)
	if err := c.Call(t.Context(), "fly", nil, nil); !errors.Is(err, honeyant.Unsupported) {
		t.Errorf("unknown method: %v", err)
	}
	if err := c.Call(t.Context(), "size", map[string]string{"pth": "x"}, nil); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("unknown key: %v", err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	c := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Call(ctx, "wait", nil, nil) }()
	cancel()
	if err := <-done; err == nil {
		t.Error("a cancelled call succeeded")
	}
}

func TestNoDaemonIsUnreachableAndSaysWhatToDo(t *testing.T) {
	err := admin.NewClient(t.TempDir()).Call(t.Context(), "size", nil, nil)
	if !admin.Unreachable(err) || !strings.Contains(err.Error(), "honeyant serve") {
		t.Errorf("got %v", err)
	}
}

// A left-over socket of a daemon that was killed does not keep the next one from starting.
func TestListenReplacesALeftOverSocket(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, admin.SocketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := admin.Listen(dir, admin.Methods{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
