package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// Handler answers what comes over the control socket. metrics serves /metrics and may be nil.
func Handler(l *ledger.Ledger, d Daemon, metrics http.Handler) http.Handler {
	s := &server{l, d}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/entries", s.entries)
	mux.HandleFunc("GET /v1/recent", s.recent)
	mux.HandleFunc("GET /v1/entries/{id}", s.entry)
	mux.HandleFunc("POST /v1/entries/{id}/kill", s.kill)
	mux.HandleFunc("GET /v1/stack", s.stack)
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("POST /v1/upgrade", s.upgrade)
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	return mux
}

type server struct {
	ledger *ledger.Ledger
	daemon Daemon
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := Failure{Text: err.Error()}
		status := http.StatusUnprocessableEntity
		if errors.Is(err, ledger.ErrGone) {
			f.Kind, status = kindGone, http.StatusNotFound
		}
		w.WriteHeader(status)
		v = f
	}
	_ = json.NewEncoder(w).Encode(v) // who asked has gone: nobody to tell
}

func (s *server) status(w http.ResponseWriter, _ *http.Request) {
	status := s.daemon.Status()
	counts := s.ledger.Counts()
	status.Counts = &counts
	answer(w, status, nil)
}

func (s *server) rows(entries []ledger.Entry) []Row {
	status := s.daemon.Status()
	rows := make([]Row, len(entries))
	for i, e := range entries {
		rows[i] = Row{e, status.PID, status.State}
	}
	return rows
}

func (s *server) entries(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := ledger.Filter{Kind: ledger.Kind(q.Get("kind")), Side: ledger.Side(q.Get("side")), Phase: ledger.Phase(q.Get("phase")),
		Origin: q.Get("origin"), Route: q.Get("route")}
	for key, to := range map[string]*time.Duration{"older": &f.Older, "idle": &f.Idle} {
		if text := q.Get(key); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil || d < 0 {
				answer(w, nil, fmt.Errorf("%s=%q is no time; write 30s", key, text))
				return
			}
			*to = d
		}
	}
	answer(w, s.rows(s.ledger.List(f)), nil)
}

func (s *server) recent(w http.ResponseWriter, _ *http.Request) {
	answer(w, s.rows(s.ledger.Recent()), nil)
}

func (s *server) entry(w http.ResponseWriter, r *http.Request) {
	id, err := ledger.ParseID(r.PathValue("id"))
	if err != nil {
		answer(w, nil, fmt.Errorf("%q is no number of a request", r.PathValue("id")))
		return
	}
	e, err := s.ledger.Get(id)
	answer(w, s.rows([]ledger.Entry{e})[0], err)
}

func (s *server) kill(w http.ResponseWriter, r *http.Request) {
	id, err := ledger.ParseID(r.PathValue("id"))
	if err != nil {
		answer(w, nil, fmt.Errorf("%q is no number of a request", r.PathValue("id")))
		return
	}
	e, err := s.ledger.Kill(id, r.URL.Query().Get("reason"))
	answer(w, s.rows([]ledger.Entry{e})[0], err)
}

func (s *server) stack(w http.ResponseWriter, r *http.Request) {
	var id ledger.ID
	if text := r.URL.Query().Get("id"); text != "" {
		parsed, err := ledger.ParseID(text)
		if err != nil {
			answer(w, nil, fmt.Errorf("%q is no number of a request", text))
			return
		}
		if _, err := s.ledger.Get(parsed); err != nil {
			answer(w, nil, err)
			return
		}
		id = parsed
	}
	text, err := Stack(id)
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text) // who asked has gone: nobody to tell
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	done, err := s.daemon.Reload(r.Context())
	answer(w, done, err)
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	p, err := s.daemon.Upgrade(r.Context(), r.URL.Query().Get("program"))
	answer(w, p, err)
}
