package ledger

import "testing"

// The end of a handshake is seen however the bytes are cut into pieces.
func TestHandshakeOverInAnyPieces(t *testing.T) {
	record := func(kind byte, n int) []byte {
		return append([]byte{kind, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...)
	}
	hello := append(record(22, 517), record(22, 3)...)
	for _, last := range [][]byte{record(20, 1), record(23, 40)} {
		all := append(append([]byte(nil), hello...), last...)
		for size := 1; size <= len(all); size++ {
			var s recordScan
			at := 0
			for at < len(all) {
				n := min(size, len(all)-at)
				over := s.handshakeOver(all[at : at+n])
				at += n
				if over {
					break
				}
			}
			if at < len(hello)+5 || at > len(hello)+5+size {
				t.Fatalf("pieces of %d: over after %d of %d bytes", size, at, len(hello))
			}
		}
	}
}

func FuzzHandshakeOver(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 1, 1, 23, 3, 3, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		var whole, byByte recordScan
		want, got := whole.handshakeOver(p), false
		for i := range p {
			if got = byByte.handshakeOver(p[i : i+1]); got {
				break
			}
		}
		if got != want {
			t.Fatalf("whole %v, byte by byte %v", want, got)
		}
	})
}
