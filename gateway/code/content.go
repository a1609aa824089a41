package code

// What is sent: types, headers, paths.
const (
	TypeCompleted ID = "GW3101"
	HeaderLog     ID = "GW3201"
	MountRewrote  ID = "GW3301"
	MountForeign  ID = "GW3302"
)

func contentCodes() []Entry {
	return []Entry{
		{TypeCompleted, "debug", "The origin sent no Content-Type, and the gateway added one; ct_source says from what: ext, sniff or default.", "Best mended at the origin; `content_type off` switches it off for a route.", "gateway/contenttype"},
		{HeaderLog, "info", "The headers of one request: as asked, as the origin answered, as sent. Secrets are replaced.", "`log_headers` says which requests and which headers.", "gateway/headerlog"},
		{MountRewrote, "debug", "A Location or Set-Cookie of the origin was rewritten to the path that clients see.", "`mount` is the map.", "gateway/pathmap"},
		{MountForeign, "debug", "The origin sent a Location that no mount maps back; it was passed as it is.", "Add a mount for it if clients can not reach it.", "gateway/pathmap"},
	}
}
