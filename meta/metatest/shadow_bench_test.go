package metatest_test

import (
	"fmt"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// What a session does by itself for a small file: make it and commit its bytes.
func BenchmarkShadowFile(b *testing.B) {
	s := newShadowed(b, 1)
	r, err := s.Bare.Do(&meta.Take{Volume: honeyant.MainVolume, Ino: honeyant.RootIno})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.shadow.Take(r.(*meta.TakeReply)); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 2000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		ino := honeyant.Ino(1000 + n)
		for _, l := range []meta.Local{
			{Op: &meta.Make{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: fmt.Sprint("f", n%3000), Mode: honeyant.ModeFile | 0o644, Exclusive: true}, Ino: ino},
			{Op: &meta.Commit{Volume: honeyant.MainVolume, Ino: ino, Extents: []honeyant.Extent{{Length: 2000, Inline: data}}}},
		} {
			l.Now = s.Env.Now
			if _, _, err := s.shadow.Do(l); err != nil {
				b.Fatal(err)
			}
		}
		if n%3000 == 2999 {
			b.StopTimer()
			for k := range 3000 {
				if _, _, err := s.shadow.Do(meta.Local{Op: &meta.Unlink{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: fmt.Sprint("f", k)}, Now: s.Env.Now}); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
	}
}
