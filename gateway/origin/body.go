package origin

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// body is a response's body, bounded by the origin's limits and checked at its end (O2).
type body struct {
	io.ReadCloser
	a        *attempt
	gate     *ledger.Gate
	untilEOF bool // the end of the connection is the end of the body
	secure   bool
	done     sync.Once
	eof      bool // read to its end; by the reader's goroutine
}

func newBody(a *attempt, resp *http.Response) *body {
	b := &body{ReadCloser: resp.Body, a: a, gate: a.req.Gate(ledger.OriginRead, a.end)}
	b.untilEOF = resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed &&
		resp.Request.Method != http.MethodHead
	b.secure = resp.TLS != nil
	if ledger.IsStream(resp.Header.Get("Content-Type")) {
		b.gate.Stream(a.limits)
	}
	return b
}

// Read reads a piece.
func (b *body) Read(p []byte) (int, error) {
	b.gate.Enter()
	n, err := b.ReadCloser.Read(p)
	b.gate.Leave(n)
	if err == nil {
		return n, nil
	}
	conn := ledger.ConnOf(b.a.connection())
	b.a.req.Note(func(f *ledger.Facts) { f.OriginLast = time.Now() })
	if err == io.EOF {
		b.eof = true
		if b.untilEOF && b.secure && conn != nil && conn.SawEOF() && !b.a.t.Quirks.TrustEOF {
			err = b.a.bodyFailed(&ledger.Ending{Code: code.OriginNoNotify, By: "origin",
				Text: "the origin ended the connection without close_notify in a response without a length: it may be cut short"}, err)
		}
		b.end(conn, err == io.EOF)
		return n, err
	}
	b.end(conn, false)
	return n, b.a.readFailed(err, conn)
}

// end notes how the origin's side ended.
func (b *body) end(conn *ledger.Conn, complete bool) {
	b.done.Do(func() {
		how := closedHow(conn, complete && !b.untilEOF, b.secure)
		b.a.mu.Lock()
		ours := b.a.ending != nil && b.a.ending.By == "gateway"
		b.a.mu.Unlock()
		if ours || b.a.req.Ending() != nil || b.a.req.Gone() {
			how = "gateway"
		}
		b.a.req.Note(func(f *ledger.Facts) { f.OriginClose = how })
	})
}

// Close ends the response, read to its end or not.
func (b *body) Close() error {
	if !b.eof {
		b.done.Do(func() { b.a.req.Note(func(f *ledger.Facts) { f.OriginClose = "gateway" }) })
	}
	err := b.ReadCloser.Close()
	b.a.cancel(nil)
	return err
}

func (a *attempt) connection() connOnly {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conn
}

// readFailed makes the error of a body that could not be read to its end.
func (a *attempt) readFailed(err error, conn *ledger.Conn) error {
	a.mu.Lock()
	why := a.ending
	a.mu.Unlock()
	if why == nil {
		why = a.req.Ending()
	}
	if why == nil && a.req.Gone() {
		return err // the client went away: the context's error
	}
	if why == nil {
		why = &ledger.Ending{Code: code.OriginTruncated, By: "origin", Text: "the origin's response ended before its end: " + err.Error()}
		switch {
		case conn != nil && conn.SawReset():
			why = &ledger.Ending{Code: code.OriginReset, By: "origin", Text: "the origin reset the connection in the middle of its response"}
		case !errors.Is(err, io.ErrUnexpectedEOF) && (conn == nil || !conn.SawEOF()):
			why = &ledger.Ending{Code: code.OriginMalformed, By: "origin", Text: "the origin's response breaks the rules of HTTP: " + err.Error()}
		}
	}
	return a.bodyFailed(why, err)
}

func (a *attempt) bodyFailed(why *ledger.Ending, cause error) error {
	a.log(why)
	a.req.Note(func(f *ledger.Facts) { f.Problem = why })
	return &Error{Ending: why, cause: cause}
}

// closedHow says how the origin's connection stands.
func closedHow(conn *ledger.Conn, kept, secure bool) string {
	switch {
	case conn == nil:
		return ""
	case conn.SawReset():
		return "reset"
	case conn.SawEOF():
		return "eof"
	case kept:
		return "kept"
	case secure:
		return "close_notify"
	}
	return "gateway"
}

// sending is the request's body on its way to the origin: from a piece that was read until the
// next is asked for, the origin is waited for.
type sending struct {
	io.ReadCloser
	a    *attempt
	once sync.Once
	gate *ledger.Gate

	given int // bytes of the last piece
}

// Read gives the next piece.
func (s *sending) Read(p []byte) (int, error) {
	s.once.Do(func() {
		s.gate = s.a.req.Gate(ledger.OriginSend, s.a.end)
		s.a.gate.Leave(0) // while the client is waited for, nobody waits for the origin
	})
	s.gate.Leave(s.given)
	n, err := s.ReadCloser.Read(p)
	if s.given = n; n > 0 {
		s.gate.Enter()
	}
	return n, err
}

// Close ends the request's body.
func (s *sending) Close() error {
	if s.gate != nil {
		s.gate.Leave(0)
	}
	return s.ReadCloser.Close()
}
