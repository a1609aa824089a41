package selftest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what is tried.
type Options struct {
	Front   *url.URL // where the proxy serves, such as https://127.0.0.1:8443
	Origin  *Origin
	Limits  Limits
	Program string                    // the gateway's program, for the faults of the process; "" leaves those out
	Only    []int                     // numbers of faults, none: all
	Code    func(token string) string // what the proxy logged for a request, may be nil
	Report  func(Row)                 // hears each row when it is there, one at a time; may be nil
}

// Run plays the faults, all at the same time, and gives their rows by number. The error says that nothing could be tried, most
// likely because the proxy does not pass requests on to the origin.
func Run(ctx context.Context, o Options) ([]Row, error) {
	if err := reach(ctx, o); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var rows []Row
	var all sync.WaitGroup
	for _, f := range Faults() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, f.Number) {
			continue
		}
		t := &trial{Fault: f, front: o.Front, limits: o.Limits, origin: o.Origin, token: strings.ToLower(rand.Text()[:12]), program: o.Program}
		all.Go(func() {
			row := t.run(ctx)
			if o.Code != nil && f.port != "" {
				row.Code = o.Code(t.token)
			}
			mu.Lock()
			defer mu.Unlock()
			rows = append(rows, row)
			if o.Report != nil {
				o.Report(row)
			}
		})
	}
	all.Wait()
	slices.SortFunc(rows, func(a, b Row) int { return a.Number - b.Number })
	return rows, ctx.Err()
}

// reach looks whether a sound request gets through to the origin and back.
func reach(ctx context.Context, o Options) error {
	t := &trial{front: o.Front, limits: o.Limits, origin: o.Origin, bound: 10 * time.Second}
	for _, port := range []string{portPlain, portTLS} {
		address := t.url(port, "reach", "reach-"+port)
		a := t.ask(ctx, http.MethodGet, address)
		if !a.clean || a.status != http.StatusOK || a.body != plainBody {
			return fmt.Errorf("%s does not get through to the origin at %s: %s %s; the proxy must pass %s/%s/* to it (--print-config shows how)",
				address, o.Origin.Address(port), a, shortError(a.err), Prefix, port)
		}
	}
	return nil
}
