package headerlog_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/gateway/headerlog"
)

const secret = "s3cr3t"

// No secret is left in what is logged (H1), and what is none stays.
func TestRedact(t *testing.T) {
	for _, test := range []struct{ name, in, out string }{
		{"Authorization", "Bearer " + secret, "[13 bytes hidden]"},
		{"Proxy-Authorization", "Basic " + secret, "[12 bytes hidden]"},
		{"Cookie", "a=" + secret + "; b=" + secret, "a=[6 bytes hidden]; b=[6 bytes hidden]"},
		{"Cookie", secret, "[6 bytes hidden]"},
		{"Set-Cookie", "sid=" + secret + "; Path=/; HttpOnly", "sid=[6 bytes hidden]; Path=/; HttpOnly"},
		{"X-Access-Token", secret, "[6 bytes hidden]"},
		{"X-Mine", secret, "[6 bytes hidden]"},
		{"Location", "https://u:" + secret + "@h/p?code=" + secret + "&" + secret + "#" + secret, "https://hidden@h/p?code=hidden&hidden#hidden"},
		{"Referer", "http://h/%zz?" + secret, "[19 bytes hidden]"},
		{"Content-Type", "text/plain", "text/plain"},
		{"Accept", "*/*", "*/*"},
	} {
		in := http.Header{test.name: {test.in}}
		got := headerlog.Redact(in, []string{"x-mine"})
		if got[test.name][0] != test.out {
			t.Errorf("%s: %q became %q, want %q", test.name, test.in, got[test.name][0], test.out)
		}
		if strings.Contains(fmt.Sprint(got), secret) {
			t.Errorf("%s: the secret is in %v", test.name, got)
		}
		if in.Get(test.name) != test.in {
			t.Errorf("%s: the header itself was changed", test.name)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("a=1; b", "http://h/?q")
	f.Fuzz(func(t *testing.T, cookie, location string) {
		got := headerlog.Redact(http.Header{"Cookie": {cookie + ";k=" + secret}, "Location": {location + "?k=" + secret}}, nil)
		if strings.Contains(got["Cookie"][0], secret) {
			t.Fatalf("the secret is in %v", got)
		}
	})
}
