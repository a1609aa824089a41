package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/life"
)

// Client asks the gateway processes of a directory.
type Client struct {
	Dir Dir
	// Limit is how long one process may take for an ordinary answer; zero means 10 s.
	Limit time.Duration
}

const (
	defaultLimit = 10 * time.Second
	maxAnswer    = 256 << 20 // a stack dump of a million goroutines is larger than anybody reads
)

// call asks one process and decodes the answer into v, or copies it if v is an io.Writer.
func (c *Client) call(ctx context.Context, at Instance, method, path string, query url.Values, v any) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", at.path)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	target := url.URL{Scheme: "http", Host: "gateway", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no answer in time")
		}
		return fmt.Errorf("gateway process %d: %w", at.PID, err)
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode != http.StatusOK {
		var f Failure
		if err := json.NewDecoder(body).Decode(&f); err != nil || f.Text == "" {
			return fmt.Errorf("gateway process %d answered %s", at.PID, resp.Status)
		}
		if f.Kind == kindGone {
			return fmt.Errorf("%s%w", trimGone(f.Text), ledger.ErrGone)
		}
		return errors.New(f.Text)
	}
	if w, ok := v.(io.Writer); ok {
		_, err = io.Copy(w, body)
		return err
	}
	if v == nil {
		return nil
	}
	return json.NewDecoder(body).Decode(v)
}

func trimGone(text string) string {
	if n := len(text) - len(ledger.ErrGone.Error()); n >= 0 && text[n:] == ledger.ErrGone.Error() {
		return text[:n]
	}
	return text + ": "
}

// ask calls with the ordinary limit.
func (c *Client) ask(ctx context.Context, at Instance, method, path string, query url.Values, v any) error {
	limit := c.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.call(ctx, at, method, path, query, v)
}

// Statuses asks every process, the current one first. One that does not answer is in the list with that as its state.
func (c *Client) Statuses(ctx context.Context) ([]Status, error) {
	instances, err := c.Dir.Instances()
	if err != nil {
		return nil, err
	}
	var all []Status
	for _, at := range instances {
		s := Status{Process: at.Process}
		if err := c.ask(ctx, at, http.MethodGet, "/v1/status", nil, &s); err != nil {
			s.State = err.Error()
		}
		all = append(all, s)
	}
	return all, nil
}

// Entries lists live connections and requests of all processes; query is what ledger.Filter has, by its names in lower case.
func (c *Client) Entries(ctx context.Context, query url.Values) ([]Row, error) {
	return c.gather(ctx, "/v1/entries", query)
}

// Recent lists the requests that ended last, of all processes.
func (c *Client) Recent(ctx context.Context) ([]Row, error) {
	return c.gather(ctx, "/v1/recent", nil)
}

func (c *Client) gather(ctx context.Context, path string, query url.Values) ([]Row, error) {
	instances, err := c.Dir.Instances()
	if err != nil {
		return nil, err
	}
	var all []Row
	for _, at := range instances {
		var rows []Row
		if err := c.ask(ctx, at, http.MethodGet, path, query, &rows); err != nil {
			return all, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// Entry finds one connection or request, in whichever process it is. The error is ledger.ErrGone if in none.
func (c *Client) Entry(ctx context.Context, id ledger.ID) (Row, error) {
	return c.each(ctx, http.MethodGet, fmt.Sprintf("/v1/entries/%s", id), nil)
}

// Kill ends one connection or request, in whichever process it is. The error is ledger.ErrGone if in none.
func (c *Client) Kill(ctx context.Context, id ledger.ID, reason string) (Row, error) {
	return c.each(ctx, http.MethodPost, fmt.Sprintf("/v1/entries/%s/kill", id), url.Values{"reason": {reason}})
}

func (c *Client) each(ctx context.Context, method, path string, query url.Values) (Row, error) {
	instances, err := c.Dir.Instances()
	if err != nil {
		return Row{}, err
	}
	for _, at := range instances {
		var row Row
		err = c.ask(ctx, at, method, path, query, &row)
		if !errors.Is(err, ledger.ErrGone) {
			return row, err
		}
	}
	return Row{}, err
}

// Stack writes the goroutines of one request (of whichever process), or all of every process if id is 0.
func (c *Client) Stack(ctx context.Context, id ledger.ID, w io.Writer) error {
	instances, err := c.Dir.Instances()
	if err != nil {
		return err
	}
	query := url.Values{}
	if id != 0 {
		query.Set("id", id.String())
	}
	for _, at := range instances {
		if id == 0 {
			if _, err := fmt.Fprintf(w, "== process %d ==\n", at.PID); err != nil {
				return err
			}
		}
		err = c.ask(ctx, at, http.MethodGet, "/v1/stack", query, w)
		if id != 0 && !errors.Is(err, ledger.ErrGone) || err != nil && id == 0 {
			return err
		}
	}
	return err
}

// Reload lets the current process read its configuration again. The context bounds it.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	var done Reloaded
	at, err := c.Current()
	if err == nil {
		err = c.call(ctx, at, http.MethodPost, "/v1/reload", nil, &done)
	}
	return done, err
}

// Upgrade lets a new process take over from the current one. The context bounds it.
func (c *Client) Upgrade(ctx context.Context, program string) (life.Process, error) {
	var p life.Process
	at, err := c.Current()
	if err == nil {
		err = c.call(ctx, at, http.MethodPost, "/v1/upgrade", url.Values{"program": {program}}, &p)
	}
	return p, err
}

// Status asks the current process.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	at, err := c.Current()
	if err == nil {
		err = c.ask(ctx, at, http.MethodGet, "/v1/status", nil, &s)
	}
	return s, err
}

// Metrics writes what /metrics of the current process says.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	at, err := c.Current()
	if err != nil {
		return err
	}
	return c.ask(ctx, at, http.MethodGet, "/metrics", nil, w)
}

// Current is the process that accepts new connections. ErrNone if there is none.
func (c *Client) Current() (Instance, error) {
	all, err := c.Dir.Instances()
	if err != nil {
		return Instance{}, err
	}
	if !all[0].Current {
		return Instance{}, fmt.Errorf("%w that accepts connections; process %d is starting or draining", ErrNone, all[0].PID)
	}
	return all[0], nil
}
