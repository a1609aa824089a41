package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// headerRow is one header as both sides have it.
type headerRow struct {
	Name   string   `json:"name"`
	Origin []string `json:"origin"`
	Client []string `json:"client"`
	Same   bool     `json:"same"`
}

// diffResult is what diff found.
type diffResult struct {
	URL          string      `json:"url"`
	OriginURL    string      `json:"origin_url"`
	OriginStatus int         `json:"origin_status"`
	ClientStatus int         `json:"client_status"`
	Headers      []headerRow `json:"headers"`
}

func newDiff(o *options) *cobra.Command {
	var origin, method string
	var all bool
	c := &cobra.Command{
		Use: "diff URL", Short: "headers as the origin sends them and as clients get them", Args: cobra.ExactArgs(1),
		Long: "Asks the gateway for the URL, finds out of its ledger which origin answered, and asks that one for the same. Where the configuration maps\n" +
			"paths, give the origin's own URL with --origin. Certificates are not checked. Exit code 1 if the status differs.",
		Example: "  honeyant gateway diff https://example.org/COPYRIGHT\n  honeyant gateway diff https://example.org/x --origin http://10.0.0.7:8080/y",
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := url.Parse(args[0])
			if err != nil || u.Host == "" {
				return command.Usagef("%q is no URL; write https://example.org/x", args[0])
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			client, err := fetch(ctx, method, u, "")
			if err != nil {
				return fmt.Errorf("the gateway: %w", err)
			}
			target, err := originOf(ctx, o.client(), u, origin)
			if err != nil {
				return err
			}
			direct, err := fetch(ctx, method, target, u.Host)
			if err != nil {
				return fmt.Errorf("the origin: %w", err)
			}
			return showDiff(o, diffResult{URL: u.String(), OriginURL: target.String(), OriginStatus: direct.StatusCode, ClientStatus: client.StatusCode,
				Headers: compare(direct.Header, client.Header)}, all)
		},
	}
	c.Flags().StringVar(&origin, "origin", "", "the origin's URL for the same")
	c.Flags().StringVar(&method, "method", http.MethodGet, "GET or HEAD")
	c.Flags().BoolVar(&all, "all", false, "also the headers that are the same")
	return c
}

// fetch asks for the header; the body is read a little, so that the request counts as begun.
func fetch(ctx context.Context, method string, u *url.URL, host string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if host != "" {
		req.Host = host
	}
	req.Header.Set("Accept-Encoding", "identity")
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // only headers are compared
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, err = io.CopyN(io.Discard, resp.Body, 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return resp, errors.Join(err, resp.Body.Close())
}

// originOf finds the origin's URL: as given, or from the newest request for the path in the ledger.
func originOf(ctx context.Context, c *control.Client, u *url.URL, given string) (*url.URL, error) {
	if given != "" {
		target, err := url.Parse(given)
		if err != nil || target.Host == "" {
			return nil, command.Usagef("--origin %q is no URL", given)
		}
		return target, nil
	}
	recent, err := c.Recent(ctx)
	if err != nil {
		return nil, err
	}
	running, err := c.Entries(ctx, nil)
	if err != nil {
		return nil, err
	}
	path := u.Path
	if path == "" {
		path = "/"
	}
	newest := control.Row{}
	for _, r := range append(recent, running...) {
		if r.Kind == ledger.Request && r.Path == path && r.Origin != "" && r.Started.After(newest.Started) {
			newest = r
		}
	}
	if newest.Origin == "" {
		return nil, errors.New("no origin answered this: the gateway made the response itself (a file, or a fixed answer); --origin URL names one to compare with")
	}
	target := *u
	target.Scheme, target.Host = "http", newest.Origin
	if scheme, host, ok := strings.Cut(newest.Origin, "://"); ok {
		target.Scheme, target.Host = scheme, host
	} else if strings.HasSuffix(newest.Origin, ":443") {
		target.Scheme = "https"
	}
	return &target, nil
}

func compare(origin, client http.Header) []headerRow {
	names := map[string]bool{}
	for name := range maps.Keys(origin) {
		names[name] = true
	}
	for name := range maps.Keys(client) {
		names[name] = true
	}
	var rows []headerRow
	for _, name := range slices.Sorted(maps.Keys(names)) {
		rows = append(rows, headerRow{name, origin[name], client[name], slices.Equal(origin[name], client[name])})
	}
	return rows
}

func showDiff(o *options, d diffResult, all bool) error {
	if o.json {
		if err := command.PrintJSON(os.Stdout, d); err != nil {
			return err
		}
	} else {
		lines := [][]string{{"(status)", fmt.Sprint(d.OriginStatus), fmt.Sprint(d.ClientStatus)}}
		for _, h := range d.Headers {
			if !h.Same || all {
				lines = append(lines, []string{h.Name, shown(h.Origin), shown(h.Client)})
			}
		}
		fmt.Println(clean("origin: " + d.OriginURL))
		printTable(os.Stdout, []string{"header", "origin sends", "client gets"}, lines)
	}
	if d.OriginStatus != d.ClientStatus {
		return command.Silent(command.Failed)
	}
	return nil
}

func shown(values []string) string {
	if len(values) == 0 {
		return "-"
	}
	return strings.Join(values, " | ")
}
