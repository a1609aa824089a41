package transfer

import (
	"fmt"
	"strings"
)

// Location is a path of this machine, or of one reached over ssh.
type Location struct {
	Host string // what ssh is told, [user@]host; empty is this machine
	Path string
}

// String is how a person writes it.
func (l Location) String() string {
	if l.Host == "" {
		return l.Path
	}
	return l.Host + ":" + l.Path
}

// ParseLocation reads PATH or [USER@]HOST:PATH, as scp does: a colon before the first
// slash ends a host; write ./a:b for a local name with a colon. An IPv6 address stands in
// brackets. A path of a host that does not begin with a slash is below the home directory
// there. Errors: Invalid.
func ParseLocation(text string) (Location, error) {
	host, path, ok := splitHost(text)
	switch {
	case text == "":
		return Location{}, refusal("an empty path")
	case strings.ContainsRune(text, 0):
		return Location{}, refusal("%q: a path has no zero bytes", text)
	case !ok:
		return Location{Path: text}, nil
	case host == "" || strings.HasPrefix(host, "-") || strings.ContainsAny(host, " \t\n'\"\\$`;&|<>(){}*?!~#"):
		return Location{}, refusal("%q: %q is no host name (write ./%s for a local file of that name)", text, host, text)
	case path == "":
		path = "."
	}
	return Location{Host: host, Path: path}, nil
}

func splitHost(text string) (host, path string, ok bool) {
	before, bracket, _ := strings.Cut(text, "[")
	if !strings.ContainsAny(before, "/:") && bracket != "" {
		if address, rest, found := strings.Cut(bracket, "]:"); found && !strings.Contains(address, "/") {
			return before + address, rest, true
		}
	}
	i := strings.IndexByte(text, ':')
	if i < 0 || strings.ContainsRune(text[:i], '/') {
		return "", text, false
	}
	return text[:i], text[i+1:], true
}

// base is the name that a copy of path gets in a directory: its last element.
func base(path string) (string, error) {
	path = strings.TrimRight(path, "/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name == "" || name == "." || name == ".." {
		return "", fmt.Errorf("%q has no name of its own: add -T and name the target, or write the source's full path", path)
	}
	return name, nil
}
