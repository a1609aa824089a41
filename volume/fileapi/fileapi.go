// Package fileapi reads and writes files of a volume from another process of the same machine:
// HTTP over the daemon's Unix socket, for those who need no mount, as the gateway. This is the
// client; volume/fileapi/server answers.
//
// Invariants:
//
//	F1  Every call ends: with its context, or with the client's Limit without progress. If no
//	    daemon runs the answer is an error of Kind Unavailable at once.
//	F2  Write replaces a file as a whole: readers see the old content or the new, and the new
//	    one is on stable storage when it returns.
//	F3  A read names the version that it expects; if the file has another one meanwhile the
//	    answer is Stale and never a mixture.
//	F4  A lock is held by one process of the colony at a time. It ends when it is not renewed
//	    for its TTL, counted by the daemon, or when the daemon's session dies.
//
// Paths are absolute within the volume, slash-separated; symlinks within it are followed.
package fileapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/honeyant/honeyant"
)

// Prefix is where on the daemon's socket the calls are.
const Prefix = "/files/"

// Stat is what is known of a name.
type Stat struct {
	Name     string `json:"name"`
	Mode     uint32 `json:"mode"` // as in stat(2)
	Size     int64  `json:"size_bytes"`
	Modified int64  `json:"modified_ns"` // since 1970
	Version  uint64 `json:"version"`     // another one with each change; it has no order
	Ino      uint64 `json:"ino"`
}

// Page is a part of a directory, in the order that the volume keeps.
type Page struct {
	Entries []Stat `json:"entries"`
	Cookie  uint64 `json:"cookie"` // for the next page; 0 at the end
}

// LockAnswer tells whether a lock was granted.
type LockAnswer struct {
	Granted bool `json:"granted"`
}

// Failure is the body of an answer that is no success.
type Failure struct {
	Kind honeyant.Kind `json:"kind"`
	Text string        `json:"error"`
}

// Client calls a daemon. Safe for concurrent use.
type Client struct {
	socket string
	limit  time.Duration
	http   *http.Client
}

// maxAnswer bounds answers that are JSON, in bytes.
const maxAnswer = 16 << 20

// New is for the daemon at a socket; nothing is connected yet. limit bounds each call, and each
// piece of a read.
func New(socket string, limit time.Duration) *Client {
	d := net.Dialer{Timeout: limit}
	return &Client{socket: socket, limit: limit, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 15 * time.Second, ResponseHeaderTimeout: limit, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}}
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Stat tells what a path is; the last name is followed if it is a symlink.
func (c *Client) Stat(ctx context.Context, path string) (s Stat, err error) {
	err = c.call(ctx, http.MethodGet, "stat", url.Values{"path": {path}}, nil, &s)
	return s, err
}

// List answers up to limit entries of a directory after cookie, 0 from the start.
func (c *Client) List(ctx context.Context, path string, cookie uint64, limit int) (p Page, err error) {
	q := url.Values{"path": {path}, "cookie": {strconv.FormatUint(cookie, 10)}, "limit": {strconv.Itoa(limit)}}
	err = c.call(ctx, http.MethodGet, "list", q, nil, &p)
	return p, err
}

// Read opens length bytes from offset of a file; version is the one expected, 0 any. The reader
// ends with io.ErrUnexpectedEOF if the file can not be read to there.
func (c *Client) Read(ctx context.Context, path string, version uint64, offset, length int64) (io.ReadCloser, error) {
	q := url.Values{"path": {path}, "version": {strconv.FormatUint(version, 10)}, "offset": {strconv.FormatInt(offset, 10)}, "length": {strconv.FormatInt(length, 10)}}
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.do(ctx, http.MethodGet, "read", q, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	r := &reader{body: resp.Body, cancel: cancel, limit: c.limit}
	r.timer = time.AfterFunc(c.limit, cancel)
	r.timer.Stop()
	return r, nil
}

// reader bounds each piece of a body.
type reader struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	limit  time.Duration
	timer  *time.Timer
}

func (r *reader) Read(p []byte) (int, error) {
	r.timer.Reset(r.limit)
	n, err := r.body.Read(p)
	r.timer.Stop()
	if err != nil && err != io.EOF {
		err = honeyant.E("fileapi.Read", honeyant.Unavailable, "", err)
	}
	return n, err
}

func (r *reader) Close() error {
	r.timer.Stop()
	r.cancel()
	return r.body.Close()
}

// Write makes or replaces a file with content, and the directories above it. Synced on return.
func (c *Client) Write(ctx context.Context, path string, content []byte) (s Stat, err error) {
	err = c.call(ctx, http.MethodPut, "write", url.Values{"path": {path}}, content, &s)
	return s, err
}

// Remove takes a file away, or a directory with all that is in it.
func (c *Client) Remove(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodPost, "remove", url.Values{"path": {path}}, nil, nil)
}

// Lock asks for the lock of a name for ttl; the same owner renews with it. It does not wait.
func (c *Client) Lock(ctx context.Context, path, owner string, ttl time.Duration) (granted bool, err error) {
	var a LockAnswer
	q := url.Values{"path": {path}, "owner": {owner}, "ttl_ms": {strconv.FormatInt(ttl.Milliseconds(), 10)}}
	err = c.call(ctx, http.MethodPost, "lock", q, nil, &a)
	return a.Granted, err
}

// Unlock gives a lock back. Harmless if the owner does not hold it.
func (c *Client) Unlock(ctx context.Context, path, owner string) error {
	return c.call(ctx, http.MethodPost, "unlock", url.Values{"path": {path}, "owner": {owner}}, nil, nil)
}

func (c *Client) call(ctx context.Context, method, op string, q url.Values, body []byte, result any) error {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	resp, err := c.do(ctx, method, op, q, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return honeyant.E("fileapi.Call", honeyant.Unavailable, op, err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return honeyant.E("fileapi.Call", honeyant.Corrupt, op, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, op string, q url.Values, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://honeyant"+Prefix+op+"?"+q.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, honeyant.E("fileapi.Call", honeyant.Invalid, op, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		text := fmt.Errorf("no answer from the daemon at %s: %w", c.socket, err)
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			text = fmt.Errorf("no daemon answers at %s; start it with: honeyant serve", c.socket)
		}
		return nil, &honeyant.Error{Kind: honeyant.Unavailable, Err: text}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	f := Failure{Kind: honeyant.Internal, Text: fmt.Sprintf("status %s: %.200s", resp.Status, text)}
	if json.Unmarshal(text, &f) != nil && resp.StatusCode == http.StatusNotFound {
		f = Failure{honeyant.Unsupported, "this daemon does not give files to other processes; is it older than the gateway?"}
	}
	return nil, &honeyant.Error{Op: "fileapi." + op, Kind: f.Kind, Object: q.Get("path"), Err: errors.New(f.Text)}
}
