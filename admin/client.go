package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"

	"github.com/honeyant/honeyant"
)

// Client calls a daemon through its socket. Safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient is for the daemon of the node directory dir; nothing is connected yet.
func NewClient(dir string) *Client {
	socket := filepath.Join(dir, SocketName)
	var d net.Dialer
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Call sends params (nil: none) to method and decodes the answer into result (nil: ignored).
// Errors have the Kind that the daemon gave; Unavailable if no daemon answers.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	body := []byte{}
	if params != nil {
		var err error
		if body, err = json.Marshal(params); err != nil {
			return honeyant.E("admin.Call", honeyant.Internal, method, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://honeyant/v1/"+method, bytes.NewReader(body))
	if err != nil {
		return honeyant.E("admin.Call", honeyant.Internal, method, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &honeyant.Error{Kind: honeyant.Unavailable,
			Err: fmt.Errorf("no daemon answers at %s; start it with: honeyant serve", c.socket)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return honeyant.E("admin.Call", honeyant.Unavailable, method, err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(answer, &f) != nil || f.Error == "" {
			f = failure{Kind: honeyant.Internal, Error: fmt.Sprintf("status %s: %.200s", resp.Status, answer)}
		}
		return &Remote{Kind: f.Kind, Text: f.Error}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return honeyant.E("admin.Call", honeyant.Corrupt, method, err)
	}
	return nil
}

// Remote is an error that the daemon answered; its text is the daemon's.
type Remote struct {
	Kind honeyant.Kind
	Text string
}

// Error is the daemon's text.
func (r *Remote) Error() string { return r.Text }

// Is matches the Kind.
func (r *Remote) Is(target error) bool {
	k, ok := target.(honeyant.Kind)
	return ok && k == r.Kind
}

// Unreachable tells whether err means that nobody answered at all.
func Unreachable(err error) bool {
	var remote *Remote
	return !errors.As(err, &remote) && errors.Is(err, honeyant.Unavailable)
}
