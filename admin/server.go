package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"time"

	"github.com/honeyant/honeyant"
)

// maxBody bounds requests and answers, in bytes.
const maxBody = 16 << 20

type failure struct {
	Kind   honeyant.Kind   `json:"kind"`
	Error  string          `json:"error"`
	Node   honeyant.NodeID `json:"node,omitempty"`
	Object string          `json:"object,omitempty"`
}

// Server answers calls on the socket. Made by Listen; Close ends it and waits.
type Server struct {
	http *http.Server
	ln   net.Listener
	done chan struct{}
}

// Route is something else that the socket serves over HTTP: a pattern of http.ServeMux, such as "GET /metrics".
type Route struct {
	Pattern string
	Serve   http.HandlerFunc
}

// Listen opens the socket in dir, replacing a left-over one, and serves methods and routes.
func Listen(dir string, methods Methods, log *slog.Logger, routes ...Route) (*Server, error) {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, honeyant.E("admin.Listen", honeyant.Internal, path, err)
	}
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, honeyant.E("admin.Listen", honeyant.Internal, path, err)
	}
	s := &Server{ln: ln, done: make(chan struct{})}
	s.http = &http.Server{Handler: Handler(methods, routes...), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("the command socket closed", "error", err)
		}
	}()
	return s, nil
}

// Close gives running calls a second, then ends them. Twice is harmless.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
	return nil
}

// Handler serves methods under /v1/, and routes.
func Handler(methods Methods, routes ...Route) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{method}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("method")
		method, ok := methods[name]
		if !ok {
			fail(w, honeyant.E("admin.Call", honeyant.Unsupported, name, errors.New("this daemon does not know the command; is it older than your honeyant?")))
			return
		}
		params, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			fail(w, honeyant.E("admin.Call", honeyant.Invalid, name, err))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), CallDeadline)
		defer cancel()
		result, err := method(ctx, params)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(result)
	})
	// Profiles for those who build it: curl --unix-socket honeyant.sock http://x/debug/pprof/profile?seconds=10
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for _, r := range routes {
		mux.HandleFunc(r.Pattern, r.Serve)
	}
	return mux
}

func fail(w http.ResponseWriter, err error) {
	f := failure{Kind: honeyant.KindOf(err), Error: err.Error()}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	json.NewEncoder(w).Encode(f)
}

func strictUnmarshal(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
