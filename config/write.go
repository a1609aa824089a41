package config

import (
	"path/filepath"
	"strings"
)

// Write puts c into <dir>/honeyant.toml as Format has it; see WriteFile for what is promised.
func Write(dir string, c *Config) error {
	c = c.Clone()
	c.Dir = dir
	if err := c.Validate(); err != nil {
		return err
	}
	return WriteFile(Layout(dir).ConfigFile(), []byte(Format(c)), 0o644)
}

// Format is the commented file. What is as by default is written as a comment, so that a
// later version's better default counts. Parse reads it back as the same configuration.
func Format(c *Config) string {
	var b strings.Builder
	b.WriteString("# Configuration of one Honeyant machine. The daemon reads it at start (honeyant serve).\n" +
		"# Lines that begin with # show the defaults.\n")
	plain := Default()
	for _, f := range fields() {
		comment(&b, f.comment)
		if f.key != "name" && f.text(c) == f.text(plain) {
			b.WriteString("#")
		}
		b.WriteString(f.key + " = " + f.text(c) + "\n")
	}
	comment(&b, storesComment)
	if len(c.Stores) == 0 {
		// A bare key must stand before the first table: there is none if this is empty.
		b.WriteString(keyStores + " = []\n")
	}
	rows(&b, keyStores, storeFields(), c.relative())
	comment(&b, mountsComment)
	if len(c.Mounts) == 0 {
		b.WriteString("#[[mounts]]\n#volume = \"main\"\n#path = \"/mnt/honeyant\"\n")
	}
	rows(&b, keyMounts, mountFields(), c.Mounts)
	return b.String()
}

// relative is the stores with paths as people would write them.
func (c *Config) relative() []Store {
	stores := append([]Store(nil), c.Stores...)
	for i, s := range stores {
		if rel, err := filepath.Rel(c.Dir, s.Path); err == nil && c.Dir != "" && within(s.Path, c.Dir) {
			stores[i].Path = rel
		}
	}
	return stores
}

func comment(b *strings.Builder, text string) {
	b.WriteString("\n")
	for line := range strings.Lines(text) {
		b.WriteString("# " + strings.TrimRight(line, "\n") + "\n")
	}
}

func rows[T any](b *strings.Builder, key string, known []field[T], list []T) {
	for i := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString("[[" + key + "]]\n")
		for _, f := range known {
			b.WriteString(f.key + " = " + f.text(&list[i]) + "\n")
		}
	}
}
