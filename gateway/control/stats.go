package control

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// Group is what some requests have in common, and how they fare.
type Group struct {
	Keys     []string `json:"keys"` // a value for each key asked for
	Requests int      `json:"requests"`
	Running  int      `json:"running"`
	Hung     int      `json:"hung"`    // ended by a deadline, or running without progress
	Aborted  int      `json:"aborted"` // the client went away (499)
	Bytes    int64    `json:"bytes"`
	MaxIdle  float64  `json:"max_idle_seconds"` // of the running ones
}

// hungIdle is how many seconds without progress make a running request count as hung.
const hungIdle = 10

// Keys are what Stats can group by.
func Keys() []string {
	return []string{"type", "size", "origin", "phase", "route", "code", "status", "client", "proto"}
}

// Stats groups live and recently ended requests, the groups with most hung ones first. Where hungOnly is
// set, only hung ones count. The error names a key that does not exist.
func Stats(rows []Row, by []string, hungOnly bool) ([]Group, error) {
	for _, key := range by {
		if !slices.Contains(Keys(), key) {
			return nil, fmt.Errorf("stats can not group by %q; it can by %s", key, strings.Join(Keys(), ", "))
		}
	}
	groups := map[string]*Group{}
	for _, r := range rows {
		hung := isHung(r.Entry)
		if r.Kind != ledger.Request || hungOnly && !hung {
			continue
		}
		keys := make([]string, len(by))
		for i, key := range by {
			keys[i] = valueOf(r.Entry, key)
		}
		id := strings.Join(keys, "\x00")
		g := groups[id]
		if g == nil {
			g = &Group{Keys: keys}
			groups[id] = g
		}
		g.Requests++
		g.Bytes += r.InBytes + r.OutBytes
		if hung {
			g.Hung++
		}
		if r.Done == nil {
			g.Running++
			g.MaxIdle = max(g.MaxIdle, r.IdleSeconds)
		} else if r.Done.Status == statusGone {
			g.Aborted++
		}
	}
	sorted := make([]Group, 0, len(groups))
	for _, g := range groups {
		sorted = append(sorted, *g)
	}
	slices.SortFunc(sorted, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Hung, a.Hung), cmp.Compare(b.Requests, a.Requests), slices.Compare(a.Keys, b.Keys))
	})
	return sorted, nil
}

// statusGone is how a request is logged whose client went away.
const statusGone = 499

func isHung(e ledger.Entry) bool {
	if e.Done == nil {
		return e.IdleSeconds >= hungIdle
	}
	for _, limit := range ledger.LimitTable() {
		if e.Done.Code == string(limit.Code) {
			return true
		}
	}
	return false
}

func valueOf(e ledger.Entry, key string) string {
	text := ""
	switch key {
	case "type":
		text, _, _ = strings.Cut(e.Type, ";")
		if text == "" {
			text = path.Ext(e.Path)
		}
	case "size":
		text = sizeClass(max(e.SizeBytes, e.OutBytes))
	case "origin":
		text = e.Origin
	case "phase":
		text = string(e.Phase)
	case "route":
		text = e.Route
	case "code":
		if e.Done != nil {
			text = e.Done.Code
		}
	case "status":
		if text = fmt.Sprint(e.Status); e.Done != nil {
			text = fmt.Sprint(e.Done.Status)
		}
	case "client":
		text = e.Client
	case "proto":
		text = e.Proto
	}
	if text == "" {
		return "-"
	}
	return text
}

func sizeClass(n int64) string {
	switch {
	case n < 0:
		return "-"
	case n < 10<<10:
		return "< 10 KiB"
	case n < 1<<20:
		return "< 1 MiB"
	case n < 100<<20:
		return "< 100 MiB"
	}
	return ">= 100 MiB"
}
