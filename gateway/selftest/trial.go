package selftest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

// trial is one fault being played.
type trial struct {
	Fault
	front   *url.URL // the proxy
	limits  Limits
	origin  *Origin
	token   string
	program string // the gateway's, for faults of the process; "" if another proxy is looked at
	began   time.Time
	bound   time.Duration
	row     Row
}

// answer is what the client got.
type answer struct {
	status  int
	header  http.Header
	body    string // the first kilobytes
	size    int64
	clean   bool // whole, as far as the protocol can tell
	err     error
	interim int // 1xx responses
	late    bool
}

func (a answer) String() string {
	text := ""
	switch {
	case a.late && a.status == 0:
		text = "nothing"
	case a.status == 0:
		return "no response: " + shortError(a.err)
	default:
		text = fmt.Sprintf("%d, %d bytes", a.status, a.size)
	}
	switch {
	case a.late:
		return text + ", and then it waited"
	case a.clean:
		return text + ", complete"
	}
	return text + ", then aborted"
}

func shortError(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

// url is the address of a fault at the proxy.
func (t *trial) url(port, fault, token string) string {
	u := *t.front
	u.Path = strings.Join([]string{Prefix, port, fault, token}, "/")
	return u.String()
}

// transport makes the client's, for HTTP/1.1 or 2.
func (t *trial) transport(h2 bool) *http.Transport {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // the proxy may have any certificate: not that is tried here
	tr := &http.Transport{TLSClientConfig: config, DisableCompression: true, ForceAttemptHTTP2: h2, MaxResponseHeaderBytes: 1 << 20}
	if !h2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return tr
}

// ask makes one request, on a connection of its own.
func (t *trial) ask(ctx context.Context, method, address string) answer {
	tr := t.transport(false)
	defer tr.CloseIdleConnections()
	return t.askOver(ctx, tr, method, address)
}

func (t *trial) askOver(ctx context.Context, tr *http.Transport, method, address string) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, t.bound)
	defer cancel()
	defer func() { a.late = errors.Is(ctx.Err(), context.DeadlineExceeded) }()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { a.interim++; return nil }})
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		a.err = err
		return a
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	head, err := io.ReadAll(io.LimitReader(resp.Body, 8<<10))
	a.body, a.size = string(head), int64(len(head))
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.Discard, resp.Body)
		a.size += rest
	}
	a.clean, a.err = err == nil, err
	return a
}

// dial connects to the proxy without saying anything.
func (t *trial) dial(ctx context.Context) (net.Conn, error) {
	host := t.front.Host
	if t.front.Port() == "" {
		host = net.JoinHostPort(t.front.Hostname(), map[string]string{"http": "80", "https": "443"}[t.front.Scheme])
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", host)
}

// wrong says that it was over in time, but not as it should be.
func (t *trial) wrong(format string, args ...any) {
	if t.row.Verdict == "" {
		t.row.Verdict = Wrong
	}
	t.row.Note = strings.TrimPrefix(t.row.Note+"; "+fmt.Sprintf(format, args...), "; ")
}

func (t *trial) skip(format string, args ...any) {
	t.row.Verdict, t.row.Note = Skipped, fmt.Sprintf(format, args...)
}

// run plays the fault and judges it.
func (t *trial) run(ctx context.Context) Row {
	t.bound = t.limit(t.limits) + t.limits.Slack
	t.row = Row{Fault: t.Fault, Limit: t.bound.Seconds()}
	t.began = time.Now()
	t.play(ctx, t)
	if t.row.Verdict == Skipped {
		return t.row
	}
	over := time.Now()
	seen := t.origin.of(t.token)
	if t.held {
		select {
		case <-seen.done:
		case <-time.After(time.Until(t.began.Add(t.bound))):
		case <-ctx.Done():
		}
	}
	text, let := seen.text()
	if t.port != "" {
		t.row.Origin = text
		if !t.held { // how long a connection is kept is the proxy's own affair
			t.row.Origin, _, _ = strings.Cut(text, ",")
		}
	}
	if t.held {
		if let.IsZero() {
			t.row.Verdict = Hung
			t.row.Note = strings.TrimPrefix(t.row.Note+"; the origin's connection stays open", "; ")
			over = time.Now()
		} else if let.After(over) {
			over = let
		}
	}
	took := over.Sub(t.began)
	t.row.Seconds = took.Seconds()
	if t.row.Verdict == "" && took > t.bound {
		t.row.Verdict = Hung
	}
	if t.row.Verdict == "" {
		t.row.Verdict = Survived
	}
	return t.row
}

// saw notes the answer; a late one makes the fault hung.
func (t *trial) saw(a answer) answer {
	t.row.Client = strings.TrimPrefix(t.row.Client+"; "+a.String(), "; ")
	if a.late {
		t.row.Verdict = Hung
	}
	return a
}

// get asks once and lets judge look at the answer.
func get(extension string, judge func(t *trial, a answer)) func(context.Context, *trial) {
	return func(ctx context.Context, t *trial) {
		if a := t.saw(t.ask(ctx, http.MethodGet, t.url(t.port, t.Name, t.token+extension))); !a.late {
			judge(t, a)
		}
	}
}

// aborted: the client must be able to tell that this is not the whole.
func aborted(t *trial, a answer) {
	if a.clean && a.status < 500 {
		t.wrong("passed off as complete")
	}
}

// refused: the client must be told that the origin failed.
func refused(t *trial, a answer) {
	if a.status < 500 && (a.clean || a.status != 0) {
		t.wrong("not told that the origin failed")
	}
}

// whole: the client must get all of it.
func whole(body string) func(t *trial, a answer) {
	return func(t *trial, a answer) {
		if !a.clean || a.status != http.StatusOK || a.body != body {
			t.wrong("not the complete response")
		}
	}
}

// anyEnd: it is enough that there is one.
func anyEnd(*trial, answer) {}
