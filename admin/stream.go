package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/honeyant/honeyant"
)

// Stream sends params to a Route of the socket ("/bench") that answers with JSON values,
// one a line, for as long as it works, and calls each with every line. It ends with ctx,
// which also ends the work at the daemon. Errors as of Call.
func (c *Client) Stream(ctx context.Context, path string, params any, each func(line []byte) error) error {
	body, err := json.Marshal(params)
	if err != nil {
		return honeyant.E("admin.Stream", honeyant.Internal, path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://honeyant"+path, bytes.NewReader(body))
	if err != nil {
		return honeyant.E("admin.Stream", honeyant.Internal, path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &honeyant.Error{Kind: honeyant.Unavailable, Err: fmt.Errorf("no daemon answers at %s; start it with: honeyant serve", c.socket)}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return &Remote{Kind: honeyant.Unsupported, Text: "this daemon does not know the command; is it older than your honeyant?"}
	default:
		return &Remote{Kind: honeyant.Internal, Text: "the daemon answered " + resp.Status}
	}
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := each(line); err != nil {
				return err
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return nil
		}
		if len(line) > maxBody {
			return honeyant.E("admin.Stream", honeyant.TooBig, path, nil)
		}
	}
}
