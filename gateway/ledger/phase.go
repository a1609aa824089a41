package ledger

// Phase is what a connection or request waits for.
type Phase string

// The phases, in the order in which a request passes them.
const (
	ClientTLS     Phase = "client-tls"     // handshake with the client
	ClientHeader  Phase = "client-header"  // the client's request header
	Handling      Phase = "handling"       // inside the gateway, waiting for nobody
	FileRead      Phase = "file-read"      // a file of the colony or of this machine
	OriginConnect Phase = "origin-connect" // name lookup and TCP connect
	OriginTLS     Phase = "origin-tls"     // handshake with the origin
	ClientBody    Phase = "client-body"    // the client's request body
	OriginSend    Phase = "origin-send"    // sending the request to the origin
	OriginHeader  Phase = "origin-header"  // the origin's response header
	OriginRead    Phase = "origin-read"    // the origin's response body
	ClientSend    Phase = "client-send"    // sending the response to the client
	Tunnel        Phase = "tunnel"         // an upgraded connection, either direction
	Closing       Phase = "closing"        // the end of a connection that is not kept
	Idle          Phase = "idle"           // kept alive, no request
	Active        Phase = "active"         // a connection with requests; they have the phases
	Ended         Phase = "ended"          // only in Recent
)

// Phases lists all phases in order.
func Phases() []Phase {
	return []Phase{ClientTLS, ClientHeader, Handling, FileRead, OriginConnect, OriginTLS, ClientBody, OriginSend,
		OriginHeader, OriginRead, ClientSend, Tunnel, Closing, Idle, Active, Ended}
}

// Words says what is waited for, as in "waiting for the origin's response body".
func (p Phase) Words() string {
	switch p {
	case ClientTLS:
		return "waiting for the client to finish the TLS handshake"
	case ClientHeader:
		return "waiting for the client's request header"
	case Handling:
		return "being handled inside the gateway"
	case FileRead:
		return "waiting for bytes of a file"
	case OriginConnect:
		return "waiting for the origin to accept the connection"
	case OriginTLS:
		return "waiting for the origin to finish the TLS handshake"
	case ClientBody:
		return "waiting for the client's request body"
	case OriginSend:
		return "waiting for the origin to take the request"
	case OriginHeader:
		return "waiting for the origin's response header"
	case OriginRead:
		return "waiting for origin body"
	case ClientSend:
		return "waiting for the client to take the response"
	case Tunnel:
		return "an upgraded connection; waiting for either side"
	case Closing:
		return "waiting for the other side to close"
	case Idle:
		return "kept alive, waiting for the next request"
	case Active:
		return "in use by requests"
	case Ended:
		return "ended"
	}
	return string(p)
}
