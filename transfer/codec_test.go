package transfer

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

// Compressing pays only where it makes the copy faster.
func TestCompressionPaysOrIsLeft(t *testing.T) {
	random := make([]byte, partSize)
	seed := uint64(1)
	for i := range random {
		seed = seed*6364136223846793005 + 1442695040888963407
		random[i] = byte(seed >> 56)
	}
	text := bytes.Repeat([]byte("the honeypot ant stores for the whole colony\n"), partSize/45)
	for _, c := range []struct {
		name   string
		choice Compression
		link   float64 // bytes/s
		speed  float64 // of the codec
		data   []byte
		want   form
	}{
		{"random over a slow link", CompressAuto, 10e6, 500e6, random, formIncompressed},
		{"text over a slow link", CompressAuto, 10e6, 500e6, text, formZstd},
		{"text over a link faster than the codec", CompressAuto, 5000e6, 500e6, text, formFastLink},
		{"text over a link of which nothing is known yet", CompressAuto, math.Inf(1), 500e6, text, formZstd},
		{"text, always", CompressZstd, 5000e6, 500e6, text, formZstd},
		{"random, always", CompressZstd, 10e6, 500e6, random, formIncompressed},
		{"text, never", CompressOff, 10e6, 500e6, text, formRaw},
		{"a few bytes", CompressAuto, 10e6, 500e6, text[:100], formRaw},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := newCodec(c.choice, &gauge{mean: 1 / c.link})
			if err != nil {
				t.Fatal(err)
			}
			defer k.close()
			k.speed, k.cores = c.speed, 1
			m := k.message(newPart(c.data))
			if m.Form != c.want {
				t.Errorf("form %d, want %d", m.Form, c.want)
			}
			p, err := k.part(m)
			if err != nil || !bytes.Equal(p.data, c.data) {
				t.Errorf("it does not come back: %v", err)
			}
			m.Sum++
			if _, err := k.part(m); err == nil {
				t.Error("a wrong checksum went by")
			}
		})
	}
}

// The buffers of pipe and socket take the first bytes at once. After some of the slow rest it must be
// clear that the link is slow, or a short copy is over before anything was compressed.
func TestBuffersDoNotMakeALinkFast(t *testing.T) {
	var g gauge
	now := time.Unix(0, 0)
	feed := func(bytes int, perSecond float64) {
		took := time.Duration(float64(bytes) / perSecond * 1e9)
		now = now.Add(took)
		g.add(bytes, took, now)
	}
	feed(buffers, 2e9)
	feed(window, 2e9) // larger buffers than usual
	if g.speed() < 1e9 {
		t.Errorf("%g: nothing slow has happened yet", g.speed())
	}
	feed(window, 2.5e6)
	if g.speed() > 20e6 {
		t.Errorf("%g bytes/s after %d bytes at 2.5e6", g.speed(), window)
	}
	for range 16 {
		feed(window, 100e6)
	}
	if g.speed() < 60e6 {
		t.Errorf("%g bytes/s: a link that became faster stays slow", g.speed())
	}
}

// A link that makes its writer wait is measured; one with time to spare tells nothing while
// parts are compressed.
func TestGaugeMeasuresWaiting(t *testing.T) {
	var g gauge
	now := time.Unix(1000, 0)
	g.add(buffers, time.Millisecond, now.Add(-time.Second))
	if g.speed() != 0 {
		t.Error("what the buffers took was believed to be the link")
	}
	g.add(window, time.Second, now)
	if got := g.speed(); got != window {
		t.Errorf("%g, want %d", got, window)
	}
	g.hold(true)
	g.add(window, time.Millisecond, now.Add(time.Second))
	if got := g.speed(); got != window {
		t.Errorf("an idle link changed the measurement to %g", got)
	}
	g.hold(false)
	g.add(window, time.Millisecond, now.Add(2*time.Second))
	if got := g.speed(); got <= window {
		t.Errorf("a faster link was not noticed: %g", got)
	}
}

func TestParseLocation(t *testing.T) {
	for text, want := range map[string]Location{
		"a":              {"", "a"},
		"/a:b":           {"", "/a:b"},
		"./a:b":          {"", "./a:b"},
		"host:":          {"host", "."},
		"host:/x":        {"host", "/x"},
		"me@host:x:y":    {"me@host", "x:y"},
		"[::1]:/x":       {"::1", "/x"},
		"me@[fe80::1]:x": {"me@fe80::1", "x"},
	} {
		got, err := ParseLocation(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":x", "-oProxyCommand=x:y", "a b:c", "a;b:c", "x\x00"} {
		if l, err := ParseLocation(text); err == nil {
			t.Errorf("%q was taken as %+v", text, l)
		}
	}
}

// A peer that sends names that lead elsewhere, or asks for paths that do, is refused.
func TestNamesDoNotLeadElsewhere(t *testing.T) {
	for _, name := range []string{"..", ".", "a/b", "/etc/passwd", "a\x00b"} {
		b := encode(&message{Entries: []Entry{{Name: name, Kind: File}}})
		if _, err := decode(b); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
	p := &peer{}
	for _, path := range []string{"../x", "a/../../x", "/etc", "a//b", "a/./b"} {
		if _, err := p.answer(t.Context(), callWhole, &message{Path: path}); err == nil || !strings.Contains(err.Error(), "below the root") {
			t.Errorf("the path %q was taken: %v", path, err)
		}
	}
}

// The list of parts of version 1 must be readable for ever.
func TestListOfPartsIsAsWrittenDown(t *testing.T) {
	e := &Entry{Size: 3 * partSize, Mtime: 1577836800123456789, Ino: 42, Ctime: 1577836801 * second}
	const golden = "HNYPARTS\x01\x00\x00\x00\x00\x00\x10\x00\x00\x000\x00\x00\x00\x00\x00"
	head := listHead(e)
	if !bytes.HasPrefix(head, []byte(golden)) || len(head) != 48 {
		t.Errorf("header %q", head)
	}
	list := append(append(bytes.Clone(head), listEntry(head, 2, 7)...), listEntry(head, 0, 9)...)
	sums, keep, ok := readList(bytes.NewReader(append(list, "cut off"...)), e)
	if !ok || keep != 96 || len(sums) != 2 || sums[2] != 7 || sums[0] != 9 {
		t.Errorf("%v, %d, %v", sums, keep, ok)
	}
	later := *e
	later.Mtime++
	if _, _, ok := readList(bytes.NewReader(list), &later); ok {
		t.Error("the list of another state of the file was taken")
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(encode(&message{Number: 1, Path: "a/b", Entry: Entry{Name: "x", Kind: File, Size: 5}, Spans: []span{{1, 2}}, Data: []byte("data")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(encode(m))
		if err != nil || again.Path != m.Path || len(again.Entries) != len(m.Entries) {
			t.Errorf("it does not come back: %v", err)
		}
	})
}

func FuzzReadList(f *testing.F) {
	e := &Entry{Size: 3 * partSize, Ino: 1}
	head := listHead(e)
	f.Add(append(bytes.Clone(head), listEntry(head, 1, 7)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		sums, keep, ok := readList(bytes.NewReader(b), e)
		if ok && keep > int64(len(b)) {
			t.Error("it keeps more than there is")
		}
		for i := range sums {
			if i < 0 || i >= 3 {
				t.Errorf("part %d of 3", i)
			}
		}
	})
}
