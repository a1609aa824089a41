package serve

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/honeyant/honeyant/gateway/framing"
	"github.com/honeyant/honeyant/gateway/ledger"
)

type tlsState = tls.ConnectionState

// How much is written at once. On a connection of its own the ledger sees the progress within
// a piece; on one that is shared by streams a piece must be small, or a slow reader would look
// like one that stands still.
const (
	pieceOwn    = 64 << 10
	pieceShared = 16 << 10
)

// writer is the response as the handlers see it.
type writer struct {
	http.ResponseWriter
	x     *exchange
	gate  *ledger.Gate
	piece int
	head  bool // a HEAD request: no body is sent

	status      int
	sent        int64
	announced   int64 // Content-Length, -1 unknown
	first, last time.Time
	sendErr     error // the client did not take the response
	sourceErr   error // what was sent could not be read
}

func newWriter(w http.ResponseWriter, x *exchange, conn *ledger.Conn, multi bool) *writer {
	sw := &writer{ResponseWriter: w, x: x, piece: pieceOwn, announced: -1, head: x.method == http.MethodHead}
	sw.gate = x.req.Gate(ledger.ClientSend, nil)
	if multi {
		sw.piece = pieceShared
	} else {
		sw.gate.WatchTaken(conn)
	}
	return sw
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the status.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
		if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && n >= 0 {
			w.announced = n
		}
		w.x.req.SetResponse(status, w.Header().Get("Content-Type"), w.announced)
		w.x.req.Note(func(f *ledger.Facts) {
			if f.KeepHeader {
				f.SentHeader = w.Header().Clone()
			}
		})
		if ledger.IsStream(w.Header().Get("Content-Type")) {
			w.gate.Stream(w.x.req.Limits())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the body, bounded by the client's send limits.
func (w *writer) Write(p []byte) (total int, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	for {
		part := p[:min(len(p), w.piece)]
		w.gate.Enter()
		n, err := w.ResponseWriter.Write(part)
		w.gate.Leave(n)
		w.wrote(n)
		total += n
		if err != nil {
			return total, w.failed(err)
		}
		if p = p[len(part):]; len(p) == 0 {
			return total, nil
		}
	}
}

func (w *writer) wrote(n int) {
	now := time.Now()
	if w.first.IsZero() {
		w.first = now
	}
	w.last = now
	w.sent += int64(n)
	w.x.req.AddOut(n)
}

// failed keeps the first error of sending, and answers the reason if the gateway ended it.
func (w *writer) failed(err error) error {
	if err == http.ErrBodyNotAllowed || err == http.ErrContentLength {
		return err
	}
	if w.sendErr == nil {
		w.sendErr = err
	}
	if why := w.x.req.Ending(); why != nil {
		return why
	}
	return err
}

// FlushError sends what is buffered.
func (w *writer) FlushError() error {
	w.gate.Enter()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.gate.Leave(0)
	if err != nil && err != http.ErrNotSupported && err != http.ErrHijacked {
		return w.failed(err)
	}
	return err
}

// Flush is FlushError for those who want no error.
func (w *writer) Flush() { w.FlushError() }

// Hijack hands the connection over with all that it can. Caddy hides what a connection over TLS can beyond net.Conn if it
// is read along, and half-closed tunnels need CloseWrite. What counts the bytes for the access log is left as it is.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if _, counts := c.(io.ReaderFrom); !counts {
		if whole := framing.Of(c); whole != nil {
			c = whole
		}
	}
	return c, rw, nil
}

// buffer answers a piece, from those that were given back if there is one.
func (e *Entrance) buffer() *[]byte {
	if b, ok := e.pieces.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, pieceOwn)
	return &b
}

// ReadFrom sends all of r. Files of this machine go by sendfile, piece by piece.
func (w *writer) ReadFrom(r io.Reader) (total int64, err error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if file, ok := limited.R.(*os.File); ok {
			return w.sendFile(file, limited)
		}
	}
	buf := w.x.entrance.buffer()
	defer w.x.entrance.pieces.Put(buf)
	read := w.x.req.Gate(ledger.FileRead, nil)
	for {
		read.Enter()
		n, rerr := r.Read(*buf)
		read.Leave(n)
		if n > 0 {
			sent, werr := w.Write((*buf)[:n])
			total += int64(sent)
			if werr != nil {
				return total, werr
			}
		}
		if rerr == io.EOF {
			return total, nil
		}
		if rerr != nil {
			w.sourceErr = rerr
			return total, rerr
		}
	}
}

func (w *writer) sendFile(file *os.File, limited *io.LimitedReader) (total int64, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(onlyWriter{w}, limited)
	}
	for limited.N > 0 {
		part := &io.LimitedReader{R: file, N: min(limited.N, int64(w.piece))}
		w.gate.Enter()
		n, err := to.ReadFrom(part)
		w.gate.Leave(int(n))
		w.wrote(int(n))
		total += n
		limited.N -= n
		if err != nil {
			return total, w.failed(err)
		}
		if n == 0 {
			return total, nil
		}
	}
	return total, nil
}

type onlyWriter struct{ io.Writer }

// short tells whether less was sent than announced.
func (w *writer) short() bool {
	return w.status == 0 || w.announced > 0 && w.sent < w.announced && w.x.hasBody()
}

// facts are the request's, with the times of the response.
func (w *writer) facts() ledger.Facts {
	f := w.x.req.Facts()
	f.FirstByte, f.LastByte = w.first, w.last
	return f
}
