package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// corpus is n bytes of text as servers have it: lines of a log with words of a language
// that does not exist, word frequencies by Zipf's law. The same bytes on every machine;
// gzip -6 makes them about a third.
func corpus(n int) []byte {
	r := rand.New(rand.NewPCG(7268, 2020))
	const consonants, vowels = "bdfghjklmnprstvz", "aeiou"
	words := make([]string, 4000)
	for i := range words {
		var w strings.Builder
		for range 1 + r.IntN(4) {
			w.WriteByte(consonants[r.IntN(len(consonants))])
			w.WriteByte(vowels[r.IntN(len(vowels))])
		}
		words[i] = w.String()
	}
	zipf := rand.NewZipf(r, 1.2, 4, uint64(len(words)-1))
	var b strings.Builder
	b.Grow(n + 256)
	for second := 0; b.Len() < n; second++ {
		fmt.Fprintf(&b, "2020-06-30T%02d:%02d:%02d 10.0.%d.%d %s@%s.example ", second/3600%24, second/60%60, second%60, r.IntN(4), r.IntN(256), words[zipf.Uint64()], words[zipf.Uint64()])
		for range 4 + r.IntN(12) {
			b.WriteString(words[zipf.Uint64()])
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d\n", r.IntN(100000))
	}
	return []byte(b.String()[:n])
}

// noise is n bytes that can not be made smaller, made by ChaCha8. The same on every machine.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed, 'h', 'o', 'n', 'e', 'y'}).Read(b)
	return b
}
