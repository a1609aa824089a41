package backup

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// What decodes encodes to the same bytes; nothing panics.
func FuzzManifest(f *testing.F) {
	m := &Manifest{Number: 7, Made: time.Unix(1e9, 0), Length: 5, Holds: meta.Holdings{Cluster: "c", Incarnation: 2, Inodes: 3}, Parts: []honeyant.ChunkSum{{Length: 5, CRC: 9}}}
	f.Add(m.encode())
	f.Add([]byte(magicManifest))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		again, err := decodeManifest(m.encode())
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

// A stream that was damaged anywhere gives an error, never other pairs than it had with success.
func FuzzStream(f *testing.F) {
	pack := func(pairs [][2]string) []byte {
		var out []byte
		p, err := newPacker(64, func(part []byte) error { out = append(out, part...); return nil })
		if err != nil {
			f.Fatal(err)
		}
		for _, pair := range pairs {
			if err := p.add([]byte(pair[0]), []byte(pair[1])); err != nil {
				f.Fatal(err)
			}
		}
		if err := p.finish(); err != nil {
			f.Fatal(err)
		}
		return out
	}
	f.Add(pack(nil))
	f.Add(pack([][2]string{{"a", "1"}, {"b", ""}, {"c", string(make([]byte, 500))}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var pairs uint64
		h, err := unpack(bytes.NewReader(b), func(key, _ []byte) error {
			pairs++
			if len(key) == 0 {
				t.Error("an empty key")
			}
			return nil
		})
		if err == nil && h.Pairs != pairs {
			t.Errorf("%d pairs, said to be %d", pairs, h.Pairs)
		}
	})
}

func TestThin(t *testing.T) {
	at := func(day, hour int) Kept { return Kept{Made: time.Date(2026, 5, day, hour, 0, 0, 0, time.UTC)} }
	for name, c := range map[string]struct{ all, stay []Kept }{
		"one":      {[]Kept{at(3, 9)}, []Kept{at(3, 9)}},
		"an hour":  {[]Kept{at(3, 9), at(3, 8), at(3, 7)}, []Kept{at(3, 9), at(3, 8)}},
		"midnight": {[]Kept{at(3, 0), at(2, 23), at(2, 22), at(1, 23), at(1, 22)}, []Kept{at(3, 0), at(2, 23), at(2, 22), at(1, 23)}},
		"days":     {[]Kept{at(9, 9), at(9, 8), at(8, 23), at(8, 5), at(7, 23), at(6, 23)}, []Kept{at(9, 9), at(9, 8), at(8, 23), at(7, 23)}},
	} {
		stay, gone := thin(c.all)
		if !reflect.DeepEqual(stay, c.stay) || len(stay)+len(gone) != len(c.all) {
			t.Errorf("%s: stay %v, go %v", name, stay, gone)
		}
	}
}
