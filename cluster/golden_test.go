package cluster

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

// What version 1 wrote must be read for ever; a new version gets files of its own.
func TestFormatsGolden(t *testing.T) {
	fixed := Token{}
	for i := range fixed.Secret {
		fixed.Secret[i] = byte(i)
	}
	for i := range fixed.Pin {
		fixed.Pin[i] = byte(0x80 + i)
	}
	for name, got := range map[string]string{
		"map.v1.hex":   hex.EncodeToString(EncodeMap(sampleMap())),
		"token.v1.txt": fixed.String(),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(string(raw)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if back, err := ParseToken(fixed.String()); err != nil || back != fixed {
		t.Errorf("token %v, %v", back, err)
	}
	raw, err := hex.DecodeString(hex.EncodeToString(EncodeMap(sampleMap())))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := DecodeMap(raw); err != nil || !sameMembers(m, sampleMap()) || m.Stores[0] != sampleMap().Stores[0] {
		t.Errorf("map %+v, %v", m, err)
	}
}
