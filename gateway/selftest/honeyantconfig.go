package selftest

import (
	"fmt"
	"strings"
)

// honeyantConfig sets the gateway's deadlines: those of connections at the listener, those of requests for the site.
func honeyantConfig(o ConfigOptions) string {
	l := o.Limits
	var b strings.Builder
	fmt.Fprintf(&b, `{
	auto_https off
	servers {
		listener_wrappers {
			honeyant {
				client_tls %[1]s
				client_header %[1]s
			}
			tls
		}
	}
}
https://%[2]s {
	tls %[3]s %[4]s
	deadlines {
		route selftest
		origin_connect %[5]s
		origin_tls %[1]s
		origin_header %[6]s
		origin_body_idle %[7]s
		client_send_idle %[7]s
		client_body_idle %[7]s
		rate_after %[8]s
		close %[9]s
	}
`, l.TLS, o.Listen, o.Cert, o.Key, l.Connect, l.Header, l.Idle, l.RateAfter, l.Close)
	for _, port := range Ports() {
		scheme, extra := "http", ""
		if isTLS(port) {
			scheme = "https"
			extra = fmt.Sprintf(" {\n\t\ttransport honeyant {\n\t\t\ttls_trust_pool file %s\n\t\t}\n\t}", o.Authority)
		}
		fmt.Fprintf(&b, "\treverse_proxy %s/%s/* %s://%s%s\n", Prefix, port, scheme, o.Origin.Address(port), extra)
	}
	return b.String() + "}\n"
}
