// Package contenttype says which Content-Type a response should have that came without one.
//
// The order is: the extension of the file name, then the first bytes, then
// application/octet-stream. Bytes never make a type that a browser runs (HTML, SVG, XML,
// JavaScript): such text is shown as plain text. What the origin says is never changed.
//
// The table of extensions is the project's own, so that every machine answers alike. Standard
// library only.
package contenttype

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
)

// Source says where a type came from, as ct_source in the log.
type Source string

// The sources.
const (
	FromOrigin  Source = "origin"  // the origin gave one
	FromExt     Source = "ext"     // the extension of the name
	FromSniff   Source = "sniff"   // the first bytes
	FromDefault Source = "default" // neither helped
	FromNothing Source = "none"    // the response has no body
)

// Default is the type of what is not known: browsers save it.
const Default = "application/octet-stream"

// SniffBytes is how many of the first bytes are looked at.
const SniffBytes = 512

// ByName answers the type for the extension of a path, or of the file name in a
// Content-Disposition if that has one; ok is false if it is not known.
func ByName(urlPath, disposition string) (contentType string, ok bool) {
	if disposition != "" {
		if _, params, err := mime.ParseMediaType(disposition); err == nil {
			if t, ok := byExtension(params["filename"]); ok {
				return t, true
			}
		}
	}
	return byExtension(urlPath)
}

func byExtension(name string) (string, bool) {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(path.Base(name)), "."))
	if ext == "" {
		return "", false
	}
	for _, row := range extensions() {
		for known := range strings.FieldsSeq(row.ext) {
			if known == ext {
				return row.contentType, true
			}
		}
	}
	return "", false
}

// BySniff answers the type that the first bytes of a body show; ok is false if they show none.
// encoding is the Content-Encoding; of the compressed ones only gzip is looked into.
func BySniff(first []byte, encoding string) (contentType string, ok bool) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
	case "gzip", "x-gzip":
		if first = unzip(first); len(first) == 0 {
			return "", false
		}
	default:
		return "", false
	}
	if len(first) == 0 {
		return "", false
	}
	t := http.DetectContentType(first[:min(len(first), SniffBytes)])
	media, _, err := mime.ParseMediaType(t)
	switch {
	case err != nil || media == Default:
		return "", false
	case strings.HasPrefix(media, "text/"):
		// Also HTML and XML (and so SVG): text that somebody else wrote is shown, never run.
		if strings.HasPrefix(t, "text/plain; charset=utf-16") {
			return t, true
		}
		return "text/plain; charset=utf-8", true
	}
	return t, true
}

// unzip answers what the beginning of a gzip stream holds, up to SniffBytes.
func unzip(first []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		return nil
	}
	out := make([]byte, SniffBytes)
	n, _ := io.ReadFull(z, out) // the stream is cut off; what came is enough
	return out[:n]
}
