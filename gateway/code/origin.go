package code

// The origin's side.
const (
	OriginConnect   ID = "GW2101"
	OriginTLS       ID = "GW2102"
	OriginHeader    ID = "GW2103"
	OriginBodyIdle  ID = "GW2104"
	OriginBodyRate  ID = "GW2105"
	OriginSendIdle  ID = "GW2106"
	OriginSendRate  ID = "GW2107"
	OriginIdle      ID = "GW2109"
	OriginTruncated ID = "GW2201"
	OriginNoNotify  ID = "GW2202"
	OriginReset     ID = "GW2203"
	OriginMalformed ID = "GW2204"
	OriginRefused   ID = "GW2205"
	OriginCert      ID = "GW2206"
	OriginInterim   ID = "GW2207"
	OriginReused    ID = "GW2209"
	OriginName      ID = "GW2210"
	OriginQuirk     ID = "GW2301"
)

func originCodes() []Entry {
	const src = "gateway/origin"
	return []Entry{
		{OriginConnect, "warn", "The origin did not accept the connection in time.", "Is it up, is its backlog full, does a firewall drop packets? `deadlines origin_connect` is the limit.", src},
		{OriginTLS, "warn", "The origin accepted the connection but did not finish the TLS handshake in time.", "Does it speak TLS on this port? `deadlines origin_tls` is the limit.", src},
		{OriginHeader, "warn", "The origin took the request but sent no response header in time; the client got 504.", "`deadlines origin_header` is the limit; raise it for the routes that compute long.", src},
		{OriginBodyIdle, "warn", "The origin stopped in the middle of its response; the response to the client was cut off visibly.", "`deadlines origin_body_idle` is the limit between two pieces of the body.", src},
		{OriginBodyRate, "warn", "The origin's response came slower than the least rate.", "`deadlines min_rate` says how many bytes a second a transfer must make after its first seconds.", src},
		{OriginSendIdle, "warn", "The origin stopped reading the request body.", "`deadlines origin_send_idle` is the limit.", src},
		{OriginSendRate, "warn", "The origin reads the request body slower than the least rate.", "`deadlines min_rate` is the limit.", src},
		{OriginIdle, "debug", "A kept-alive origin connection was idle to its limit and closed.", "Nothing to do; `deadlines origin_idle` is the limit, below that of most origins on purpose.", src},
		{OriginTruncated, "warn", "The origin's response ended before its announced length or last chunk; the client's connection was aborted, so that it knows.", "Look at the origin's log: it crashed, was restarted, or has a limit of its own.", src},
		{OriginNoNotify, "warn", "The origin ended TLS without close_notify in a response whose end is the end of the connection: it may be cut short, and the client side was aborted.", "The quirk `trust_eof` takes such an end for the end of the body.", src},
		{OriginReset, "warn", "The origin reset the connection.", "Look at the origin's log.", src},
		{OriginMalformed, "warn", "The origin's response breaks the rules of HTTP; the client got 502.", "`gateway diff URL` shows what it sends.", src},
		{OriginRefused, "warn", "The origin refused the connection.", "Is it running, and on this port?", src},
		{OriginCert, "warn", "The origin's certificate is expired, for another name, or signed by nobody known.", "Renew it, or give the CA with `tls_trust_pool`.", src},
		{OriginInterim, "warn", "The origin sent more interim (1xx) responses than a request may have.", "The origin is broken or hostile.", src},
		{OriginReused, "debug", "The origin closed a kept-alive connection just as it was used again; the request was sent once more on a new one.", "If it is frequent, the origin's idle time is shorter than `keepalive`; set the quirk `idle 5s` or `no_keepalive`.", src},
		{OriginName, "warn", "The origin's name was not found.", "Check the name and the resolver.", src},
		{OriginQuirk, "debug", "A quirk of the origin was applied to the request or the response.", "Quirks are set in `transport honeyant { quirks ... }`.", src},
	}
}
