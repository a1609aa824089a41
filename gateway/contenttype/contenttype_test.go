package contenttype_test

import (
	"bytes"
	"compress/gzip"
	"mime"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/gateway/contenttype"
)

func zipped(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.Bytes()
}

// choose asks for the name before the bytes, as the gateway does.
func choose(urlPath, disposition, encoding string, first []byte) (string, contenttype.Source) {
	if t, ok := contenttype.ByName(urlPath, disposition); ok {
		return t, contenttype.FromExt
	}
	if t, ok := contenttype.BySniff(first, encoding); ok {
		return t, contenttype.FromSniff
	}
	return contenttype.Default, contenttype.FromDefault
}

func TestTypes(t *testing.T) {
	long := strings.Repeat("All rights reserved.\n", 100)
	for _, test := range []struct {
		name, path, disposition, encoding, first, want string
		source                                         contenttype.Source
	}{
		{"extension", "/a/b.css", "", "", "\x00\x01", "text/css; charset=utf-8", contenttype.FromExt},
		{"extension in capitals", "/A.PDF", "", "", "", "application/pdf", contenttype.FromExt},
		{"the file name before the path", "/get.html", `attachment; filename="a.zip"`, "", "", "application/zip", contenttype.FromExt},
		{"a broken disposition", "/a.zip", `attachment; filename`, "", "", "application/zip", contenttype.FromExt},
		{"a directory is no extension", "/v1.js/name", "", "", "plain text", "text/plain; charset=utf-8", contenttype.FromSniff},
		{"sniffed image", "/x", "", "", "\x89PNG\r\n\x1a\n", "image/png", contenttype.FromSniff},
		{"gzip body", "/COPYRIGHT", "", "gzip", string(zipped(long)), "text/plain; charset=utf-8", contenttype.FromSniff},
		{"gzip that is none", "/COPYRIGHT", "", "gzip", long, contenttype.Default, contenttype.FromDefault},
		{"brotli is not looked into", "/COPYRIGHT", "", "br", long, contenttype.Default, contenttype.FromDefault},
		{"nothing helps", "/x", "", "", "\x00\x01\x02", contenttype.Default, contenttype.FromDefault},
		{"unknown extension", "/x.qqq", "", "", "\x00\x01\x02", contenttype.Default, contenttype.FromDefault},
	} {
		got, source := choose(test.path, test.disposition, test.encoding, []byte(test.first))
		if got != test.want || source != test.source {
			t.Errorf("%s: %q from %s, want %q from %s", test.name, got, source, test.want, test.source)
		}
	}
}

// Bytes never make a type that a browser runs, whatever they are.
func FuzzSniffNeverRuns(f *testing.F) {
	for _, seed := range []string{"<html><script>", "<?xml version='1.0'?><svg/>", "<!DOCTYPE html>", "\xef\xbb\xbf<script>", "  \n<body onload=x>", "var a=1;", "\xfe\xff\x00<"} {
		f.Add([]byte(seed), "")
		f.Add(zipped(seed), "gzip")
	}
	f.Fuzz(func(t *testing.T, first []byte, encoding string) {
		got, ok := contenttype.BySniff(first, encoding)
		if !ok {
			return
		}
		media, _, err := mime.ParseMediaType(got)
		if err != nil {
			t.Fatalf("%q is no type: %v", got, err)
		}
		for _, runs := range []string{"html", "svg", "xml", "javascript", "ecmascript"} {
			if strings.Contains(media, runs) {
				t.Fatalf("%q became %s", first, media)
			}
		}
	})
}
