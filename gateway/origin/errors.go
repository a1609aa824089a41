package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/ledger"
)

// Error is what the origin did wrong, after a connection was there.
type Error struct {
	*ledger.Ending
	cause error
}

// Unwrap is the Ending alone: the cause may be a cancelled context, which would look as if the
// client had gone.
func (e *Error) Unwrap() error { return e.Ending }

// HTTPStatus is 504 for a deadline, else 502.
func (e *Error) HTTPStatus() int { return statusOf(e.Ending) }

// ConnectError is the failure to get a connection: nothing of the request was sent, so that
// another origin may be tried.
type ConnectError struct{ *ledger.Ending }

// Unwrap is the Ending.
func (e *ConnectError) Unwrap() error { return e.Ending }

// HTTPStatus is 504 for a deadline, else 502.
func (e *ConnectError) HTTPStatus() int { return statusOf(e.Ending) }

func statusOf(why *ledger.Ending) int {
	if why.Timeout() {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// lengthRequired refuses a body without a length for an origin that speaks HTTP/1.0.
type lengthRequired struct{}

// Error says what to do.
func (lengthRequired) Error() string {
	return "the origin speaks HTTP/1.0, which needs a Content-Length for a request body"
}

// HTTPStatus is 411.
func (lengthRequired) HTTPStatus() int { return http.StatusLengthRequired }

// classify says what an error of a round trip means.
func classify(err error, conn *ledger.Conn, connected bool) *ledger.Ending {
	say := func(id code.ID, text string) *ledger.Ending {
		return &ledger.Ending{Code: id, By: "origin", Text: text}
	}
	var (
		dns     *net.DNSError
		bad     *tls.CertificateVerificationError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case errors.As(err, &dns):
		return say(code.OriginName, "the origin's name was not found: "+dns.Error())
	case errors.As(err, &bad), errors.As(err, &name), errors.As(err, &unknown), errors.As(err, &invalid):
		return say(code.OriginCert, "the origin's certificate is not good: "+err.Error())
	case errors.As(err, &record), errors.As(err, &alert):
		return say(code.OriginTLS, "the origin does not speak TLS as it should: "+err.Error())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return say(code.OriginRefused, "the origin refused the connection: "+err.Error())
	case !connected && isTimeout(err):
		// The dialer's own limit was shorter than origin_connect.
		return &ledger.Ending{Code: code.OriginConnect, By: "origin", Text: "the origin did not accept the connection in time: " + err.Error()}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), conn != nil && conn.SawReset():
		return say(code.OriginReset, "the origin reset the connection before it answered")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), conn != nil && conn.SawEOF():
		return say(code.OriginTruncated, "the origin closed the connection before it answered")
	case !connected:
		return say(code.OriginRefused, "no connection to the origin: "+err.Error())
	}
	return say(code.OriginMalformed, "the origin's response breaks the rules of HTTP: "+err.Error())
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
