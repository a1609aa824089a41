// Package headerlog makes headers fit to be logged: what identifies or authorizes somebody is
// replaced, so that a log can be shown to others; the names stay.
//
// Invariants:
//
//	H1  No value of a field that carries credentials is ever in the result, nor the values of
//	    cookies, nor those of a query.
//
// Standard library only.
package headerlog

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Redact answers a copy of a header with secrets replaced; more names fields to hide besides
// the known ones.
func Redact(header map[string][]string, more []string) map[string][]string {
	out := make(map[string][]string, len(header))
	for name, values := range header {
		shown := make([]string, len(values))
		for i, v := range values {
			shown[i] = value(name, v, more)
		}
		out[name] = shown
	}
	return out
}

func value(name, v string, more []string) string {
	lower := strings.ToLower(name)
	switch {
	case slices.ContainsFunc(more, func(m string) bool { return strings.EqualFold(m, name) }), secret(lower):
		return hidden(v)
	case lower == "cookie":
		parts := strings.Split(v, ";")
		for i, p := range parts {
			parts[i] = pair(p)
		}
		return strings.Join(parts, ";")
	case lower == "set-cookie":
		first, attributes, has := strings.Cut(v, ";")
		if !has {
			return pair(first)
		}
		return pair(first) + ";" + attributes
	case lower == "referer", lower == "location", lower == "content-location", lower == "refresh", lower == "link":
		return withoutQuery(v)
	}
	return v
}

// secret tells fields that carry credentials.
func secret(lower string) bool {
	switch lower {
	case "authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info", "x-api-key", "apikey", "x-csrf-token":
		return true
	}
	for _, word := range []string{"token", "secret", "password", "passwd", "credential", "session", "signature", "api-key", "auth-key"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

func hidden(v string) string { return fmt.Sprintf("[%d bytes hidden]", len(v)) }

func pair(p string) string {
	name, v, has := strings.Cut(p, "=")
	if !has {
		return hidden(p)
	}
	return name + "=" + hidden(v)
}

// withoutQuery keeps an address and the names in its query; a password in it goes, too.
func withoutQuery(v string) string {
	u, err := url.Parse(v)
	if err != nil {
		return hidden(v)
	}
	if u.User != nil {
		u.User = url.User("hidden")
	}
	if u.Fragment != "" {
		u.Fragment, u.RawFragment = "hidden", ""
	}
	u.RawQuery = Query(u.RawQuery)
	return u.String()
}

// Query answers a query with its values hidden.
func Query(raw string) string {
	if raw == "" {
		return ""
	}
	parts := strings.Split(raw, "&")
	for i, p := range parts {
		if name, _, has := strings.Cut(p, "="); has {
			parts[i] = name + "=hidden"
		} else {
			parts[i] = "hidden"
		}
	}
	return strings.Join(parts, "&")
}
