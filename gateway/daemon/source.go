package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Source says where the configuration comes from: a file, or the few words that stand for one.
type Source struct {
	File    string // a Caddyfile, or JSON as Caddy reads it if its name ends in .json
	Adapter string // a Caddy adapter's name; "" goes by the file's name

	Site     []string // host names, or addresses such as :8080
	Root     string   // a directory to serve
	To       []string // origins to pass requests to
	Internal bool     // certificates of an authority made here, instead of ACME
}

// Validate finds what can not be meant.
func (s Source) Validate() error {
	flags := len(s.Site) > 0 || s.Root != "" || len(s.To) > 0
	switch {
	case s.File == "" && !flags:
		return errors.New("say what to serve: --config FILE, or --site NAME with --root DIRECTORY or --to ORIGIN")
	case s.File != "" && flags:
		return errors.New("--config and --site, --root, --to exclude one another: put them all into the file")
	case s.File != "":
		return nil
	case len(s.Site) == 0:
		return errors.New("say for which name: --site example.org (or --site :8080 for plain HTTP on that port)")
	case (s.Root == "") == (len(s.To) == 0):
		return errors.New("say either --root DIRECTORY or --to ORIGIN")
	}
	for _, to := range s.To {
		u, err := url.Parse(to)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("--to %q is no origin; write http://host:port or https://host", to)
		}
		if u.Path != "" && u.Path != "/" {
			return fmt.Errorf("--to %q has a path; use --config with `mount` for maps of paths", to)
		}
	}
	if s.Root != "" {
		if info, err := os.Stat(s.Root); err != nil {
			return fmt.Errorf("--root: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("--root %s is no directory", s.Root)
		}
	}
	return nil
}

// Name is how messages call the configuration.
func (s Source) Name() string {
	if s.File != "" {
		return s.File
	}
	return "command line"
}

// Text is the configuration as its author would have written it.
func (s Source) Text() ([]byte, error) {
	if s.File != "" {
		return os.ReadFile(s.File)
	}
	var b strings.Builder
	for i, site := range s.Site {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(site))
	}
	b.WriteString(" {\n")
	if s.Internal {
		b.WriteString("\ttls internal\n")
	}
	if s.Root != "" {
		root, err := filepath.Abs(s.Root)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\troot * %s\n\tencode\n\tfile_server {\n\t\tprecompressed\n\t}\n", quote(root))
	} else {
		b.WriteString("\treverse_proxy")
		for _, to := range s.To {
			b.WriteString(" " + quote(strings.TrimSuffix(to, "/")))
		}
		b.WriteString("\n")
	}
	b.WriteString("}\n")
	return []byte(b.String()), nil
}

// quote makes one token of a Caddyfile out of anything.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(text) + `"`
}

// read adapts the configuration to Caddy's JSON. Errors of a Caddyfile name file and line.
func (s Source) read() (config []byte, warnings []string, err error) {
	text, err := s.Text()
	if err != nil {
		return nil, nil, err
	}
	name := s.Adapter
	if name == "" && filepath.Ext(s.File) != ".json" {
		name = "caddyfile"
	}
	if name == "" {
		return text, nil, nil
	}
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, nil, fmt.Errorf("there is no configuration adapter %q", name)
	}
	config, found, err := adapter.Adapt(text, map[string]any{"filename": s.Name()})
	for _, w := range found {
		if strings.Contains(w.Message, "is not formatted") {
			continue // a matter of taste, not of meaning
		}
		warnings = append(warnings, fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Message))
	}
	return config, warnings, err
}
