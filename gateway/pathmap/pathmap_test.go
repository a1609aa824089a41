package pathmap_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/gateway/pathmap"
)

func parse(t testing.TB, from, to string) pathmap.Map {
	t.Helper()
	m, err := pathmap.Parse(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRequestStaysInTheTree(t *testing.T) {
	m := parse(t, "/x/*", "https://host/y/*")
	for _, test := range []struct{ in, out string }{
		{"/x/", "/y/"}, {"/x", "/y/"}, {"/x/a/b", "/y/a/b"}, {"/x/a/", "/y/a/"}, {"/x/a/../b", "/y/b"}, {"/x/./b/.", "/y/b/"},
		{"/x/..", ""}, {"/x/../admin", ""}, {"/x/../x/ok", "/y/ok"}, {"/xy", ""}, {"/", ""}, {"x/a", ""}, {"/x/../../etc", ""}, {"/x//a", "/y//a"},
	} {
		got, _, ok := m.Request(test.in, "")
		if got != test.out || ok != (test.out != "") {
			t.Errorf("%s became %q, %v; want %q", test.in, got, ok, test.out)
		}
	}
	if _, raw, _ := m.Request("/x/a/b c", "/x/elsewhere"); raw != "" {
		t.Errorf("a raw path that means something else was kept: %q", raw)
	}
	if p, raw, _ := m.Request("/x/a/b", "/x/a%2Fb"); p != "/y/a/b" || raw != "/y/a%2Fb" {
		t.Errorf("an escaped slash became %q %q", p, raw)
	}
}

func TestLocation(t *testing.T) {
	m := parse(t, "/x/", "http://host:8080/y/")
	for _, test := range []struct {
		in, out string
		ok      bool
	}{
		{"http://host:8080/y/z?q=1#f", "/x/z?q=1#f", true},
		{"https://HOST:8080/y/", "/x/", true},
		{"//host:8080/y/a", "/x/a", true},
		{"/y/z", "/x/z", true},
		{"/y", "/x/", true},
		{"z/w", "z/w", true},
		{"?a", "?a", true},
		{"/other", "/other", false},
		{"http://host:8080/other", "http://host:8080/other", false},
		{"http://host/y/z", "http://host/y/z", false},
		{"http://elsewhere/y/z", "http://elsewhere/y/z", false},
		{"javascript:alert(1)", "javascript:alert(1)", false},
		{"http://u:p@host:8080/y/", "http://u:p@host:8080/y/", false},
		{"/y/%2e%2e/secret", "/y/%2e%2e/secret", false},
	} {
		if got, ok := m.Location(test.in); got != test.out || ok != test.ok {
			t.Errorf("%s became %s, %v; want %s, %v", test.in, got, ok, test.out, test.ok)
		}
	}
	root := parse(t, "/", "http://host/")
	if got, ok := root.Location("http://host//evil.example/"); ok || strings.HasPrefix(got, "//") {
		t.Errorf("a path became a host: %s, %v", got, ok)
	}
}

func TestCookie(t *testing.T) {
	m := parse(t, "/x/*", "https://app.example.org/y/*")
	for _, test := range []struct{ in, out string }{
		{"s=1; Path=/y/; HttpOnly", "s=1; Path=/x/; HttpOnly"},
		{"s=1; path=/y", "s=1; Path=/x"},
		{"s=1; Path=/y/sub; Secure", "s=1; Path=/x/sub; Secure"},
		{"s=1; Path=/", "s=1; Path=/"},
		{"s=1; Domain=app.example.org; Path=/y/", "s=1; Path=/x/"},
		{"s=1; Domain=.example.org", "s=1"},
		{"s=1; Domain=elsewhere.net", "s=1; Domain=elsewhere.net"},
		{"s=Path=/y/", "s=Path=/y/"},
	} {
		if got := m.Cookie(test.in); got != test.out {
			t.Errorf("%q became %q, want %q", test.in, got, test.out)
		}
	}
}

func TestParseRefusesWhatCanNotBeMeant(t *testing.T) {
	for _, bad := range [][2]string{{"x", "http://h/"}, {"/a/../b", "http://h/"}, {"/x/", "ftp://h/"}, {"/x/", "/y/"}, {"/x/", "http://u@h/"}, {"/x/", "http://h/?q"}} {
		if m, err := pathmap.Parse(bad[0], bad[1]); err == nil {
			t.Errorf("%v was taken as %+v", bad, m)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("/x/a/../b")
	f.Add("/x/%2e%2e/b")
	f.Fuzz(func(t *testing.T, p string) {
		m := parse(t, "/x/", "http://host/y/")
		out, raw, ok := m.Request(p, p)
		if !ok {
			return
		}
		for s := range strings.SplitSeq(out, "/") {
			if s == ".." || s == "." {
				t.Fatalf("%q became %q", p, out)
			}
		}
		if !strings.HasPrefix(out, "/y/") || raw != "" && !strings.HasPrefix(raw, "/y/") {
			t.Fatalf("%q left the tree: %q %q (M1)", p, out, raw)
		}
	})
}

func FuzzLocation(f *testing.F) {
	f.Add("http://host/y/z?q#f")
	f.Add("//host/y//e")
	f.Add("/y/\r\nX: 1")
	f.Fuzz(func(t *testing.T, location string) {
		m := parse(t, "/x/", "http://host/y/")
		got, ok := m.Location(location)
		if !ok {
			if got != location {
				t.Fatalf("%q is foreign, but became %q (M2)", location, got)
			}
			return
		}
		if strings.ContainsAny(got, "\r\n") {
			t.Fatalf("%q became %q (M3)", location, got)
		}
		if got == location {
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Host != "" || !strings.HasPrefix(u.Path, "/x/") {
			t.Fatalf("%q became %q (%v)", location, got, err)
		}
	})
}

func FuzzCookie(f *testing.F) {
	f.Add("s=1; Path=/y/; Domain=host")
	f.Fuzz(func(t *testing.T, line string) {
		m := parse(t, "/x/", "http://host/y/")
		got := m.Cookie(line)
		name, _, _ := strings.Cut(line, ";")
		if !strings.HasPrefix(got, name) {
			t.Fatalf("%q lost its value: %q", line, got)
		}
	})
}
