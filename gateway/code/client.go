package code

// The client's side.
const (
	ClientTLS      ID = "GW1101"
	ClientHeader   ID = "GW1102"
	ClientBodyIdle ID = "GW1103"
	ClientBodyRate ID = "GW1104"
	ClientSendIdle ID = "GW1105"
	ClientSendRate ID = "GW1106"
	ClientClose    ID = "GW1107"
	ClientIdle     ID = "GW1108"
	ClientTotal    ID = "GW1109"
	ClientTunnel   ID = "GW1110"
	ClientGone     ID = "GW1201"
	ClientKilled   ID = "GW1202"
	ClientFraming  ID = "GW1203"
)

func clientCodes() []Entry {
	const src = "gateway/ledger"
	return []Entry{
		{ClientTLS, "info", "A client connected but did not finish the TLS handshake in time.", "Scanners and broken clients do this; raise `deadlines client_tls` only for very slow networks.", src},
		{ClientHeader, "info", "A client did not send a complete request header in time.", "Slow-loris attacks look like this; `deadlines client_header` is the limit.", src},
		{ClientBodyIdle, "info", "A client stopped in the middle of its upload.", "`deadlines client_body_idle` is the limit between two pieces of the body.", src},
		{ClientBodyRate, "info", "A client's upload was slower than the least rate.", "`deadlines min_rate` says how many bytes a second a transfer must make after its first seconds.", src},
		{ClientSendIdle, "info", "A client took no more bytes of the response.", "Its window is full and it does not read; `deadlines client_send_idle` is the limit.", src},
		{ClientSendRate, "info", "A client takes the response slower than the least rate.", "`deadlines min_rate` says how many bytes a second a transfer must make after its first seconds.", src},
		{ClientClose, "debug", "A client did not close its side in time after the last byte, so the connection was cut.", "The response was complete; nothing to do. `deadlines close` is the limit.", src},
		{ClientIdle, "debug", "A kept-alive client connection was idle to its limit and closed.", "Nothing to do; `deadlines client_idle` is the limit.", src},
		{ClientTotal, "info", "A request took longer than its total limit.", "`deadlines total` is off unless set for the route.", src},
		{ClientTunnel, "info", "An upgraded connection (WebSocket) had no traffic in either direction up to its limit.", "`deadlines tunnel_idle` is the limit; let the application send pings.", src},
		{ClientGone, "info", "The client went away before the response was complete; the origin was cancelled. Logged as status 499.", "Usually a closed tab or a cancelled download.", src},
		{ClientKilled, "warn", "An operator ended this connection or request by `gateway kill`.", "Nothing to do.", src},
		{ClientFraming, "warn", "A request said in two ways how long its body is: Content-Length beside Transfer-Encoding, or Transfer-Encoding in HTTP/1.0. It was refused with 400 and the connection closed.", "Attempts to smuggle a request look like this (RFC 9112, 6.1); if it comes from a proxy of yours, let that drop the Content-Length.", "gateway/serve"},
	}
}
