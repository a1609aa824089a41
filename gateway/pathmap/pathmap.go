// Package pathmap maps a tree of paths that clients see onto a tree of an origin, and what the
// origin says of its paths back: the MOUNT of DeleGate.
//
// Invariants:
//
//	M1  A request path never leaves the origin's tree, however it is written: dots are
//	    resolved first, and what leads out is no match.
//	M2  A Location within the origin's tree becomes the one that clients see; any other is
//	    passed as it is.
//	M3  Nothing that is mapped holds a line end.
package pathmap

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Map maps the paths below From onto those below To. Both end in a slash.
type Map struct {
	From string // path that clients see: /x/
	To   url.URL
}

// Parse reads the two sides, as in `/x/*` and `https://host/y/*`. The stars may be left out.
func Parse(from, to string) (Map, error) {
	from = strings.TrimSuffix(from, "*")
	if !strings.HasPrefix(from, "/") || from != withSlash(path.Clean(from)) && withSlash(from) != withSlash(path.Clean(from)) {
		return Map{}, fmt.Errorf("%q: write the path that clients see as /x/*", from)
	}
	u, err := url.Parse(strings.TrimSuffix(to, "*"))
	if err != nil {
		return Map{}, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return Map{}, fmt.Errorf("%q: write the origin as https://host/y/*", to)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Map{}, errors.New("the origin's side has only scheme, host and path")
	}
	u.Path, u.RawPath = withSlash(path.Clean("/"+u.Path)), ""
	return Map{From: withSlash(path.Clean(from)), To: *u}, nil
}

func withSlash(p string) string {
	if strings.HasSuffix(p, "/") {
		return p
	}
	return p + "/"
}

// Request answers the origin's path for a client's, as in url.URL's Path and RawPath; ok is
// false if it is not below From (M1).
func (m Map) Request(p, raw string) (outPath, outRaw string, ok bool) {
	rest, ok := below(p, m.From)
	if !ok {
		return "", "", false
	}
	outPath = m.To.Path + rest
	if restRaw, found := strings.CutPrefix(raw, m.From); raw != "" && found && !hasDots(p) {
		outRaw = (&url.URL{Path: m.To.Path}).EscapedPath() + restRaw
		if u, err := url.PathUnescape(outRaw); err != nil || u != outPath {
			outRaw = ""
		}
	}
	return outPath, outRaw, true
}

// below answers what of p is below the tree, with dots resolved.
func below(p, tree string) (rest string, ok bool) {
	if !strings.HasPrefix(p, "/") {
		return "", false
	}
	if hasDots(p) {
		slash := strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")
		if p = path.Clean(p); slash {
			p = withSlash(p)
		}
	}
	if p+"/" == tree {
		return "", true
	}
	return strings.CutPrefix(p, tree)
}

// hasDots tells paths with . or .. as a segment.
func hasDots(p string) bool {
	for s := range strings.SplitSeq(p, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// Location maps a Location of the origin's back; ok is false if it is none of its tree, and
// then it is answered unchanged.
func (m Map) Location(location string) (mapped string, ok bool) {
	u, err := url.Parse(location)
	if err != nil || strings.ContainsAny(location, "\r\n") || u.Opaque != "" || u.User != nil {
		return location, false
	}
	switch {
	case u.Host != "":
		if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || !sameHost(u, &m.To) {
			return location, false
		}
	case u.Scheme != "":
		return location, false
	case !strings.HasPrefix(u.Path, "/"):
		return location, true // relative: it means the same on both sides
	}
	rest, ok := below(withRoot(u.Path), m.To.Path)
	if !ok {
		return location, false
	}
	out := url.URL{Path: m.From + rest, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	if raw, found := strings.CutPrefix(u.RawPath, (&url.URL{Path: m.To.Path}).EscapedPath()); u.RawPath != "" && found && !hasDots(u.Path) {
		out.RawPath = (&url.URL{Path: m.From}).EscapedPath() + raw
	}
	text := out.String()
	if strings.HasPrefix(text, "//") {
		return location, false // it would name a host
	}
	return text, true
}

func withRoot(p string) string {
	if p == "" {
		return "/"
	}
	return p
}

// sameHost compares host and port; http and https of one host are one origin here, since
// origins behind a gateway often get their own scheme wrong.
func sameHost(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	return a.Port() == b.Port() || standard(a) && standard(b)
}

func standard(u *url.URL) bool {
	p := u.Port()
	return p == "" || p == "80" || p == "443"
}

// Cookie maps the Path and Domain of a Set-Cookie back. A Domain of the origin's is left out,
// so that the cookie belongs to the host that the client asked.
func (m Map) Cookie(line string) string {
	parts := strings.Split(line, ";")
	out := parts[:1]
	for _, part := range parts[1:] {
		name, value, has := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case has && strings.EqualFold(strings.TrimSpace(name), "Path"):
			if rest, ok := below(strings.TrimSpace(value), m.To.Path); ok {
				mapped := m.From + rest
				if !strings.HasSuffix(value, "/") && rest == "" {
					mapped = strings.TrimSuffix(mapped, "/")
				}
				part = " Path=" + withRoot(mapped)
			}
		case has && strings.EqualFold(strings.TrimSpace(name), "Domain"):
			domain := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(value), "."))
			host := strings.ToLower(m.To.Hostname())
			if domain == host || domain != "" && strings.HasSuffix(host, "."+domain) {
				continue
			}
		}
		out = append(out, part)
	}
	return strings.Join(out, ";")
}

// Header maps back what a response's header says of paths. It tells whether there was a
// Location that is not of the origin's tree.
func (m Map) Header(h http.Header) (foreign bool) {
	for _, name := range []string{"Location", "Content-Location"} {
		if v := h.Get(name); v != "" {
			mapped, ok := m.Location(v)
			if ok {
				h.Set(name, mapped)
			}
			foreign = foreign || !ok && name == "Location"
		}
	}
	for i, c := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = m.Cookie(c)
	}
	return foreign
}
