package ledger

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// What has ended leaves nothing in the tables once QUIC has given it up, whatever was sent.
func TestQUICTablesAreEmptyInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(0).FollowQUIC(&net.UDPAddr{Port: 443}, Defaults())
		for i := range 5000 {
			first := append([]byte{0xc0, 0, 0, 0, 1, 8, byte(i), byte(i >> 8), 1, 2, 3, 4, 5, 6, 0}, make([]byte, 1200)...)
			known := q.Received(first, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: i/2 + 1})
			ours := []byte{byte(i), byte(i >> 8), 7, 7}
			q.Sent(append(append([]byte{0xc0, 0, 0, 0, 1, 0, 4}, ours...), 1), known)
			if i%3 == 0 {
				short := append([]byte{0x40}, ours...)
				q.Received(short, known)
				q.Received(short, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: i + 1})
			}
		}
		if n := q.unproven.Len(); n != quicUnproven {
			t.Errorf("%d that may be made up are kept", n)
		}
		time.Sleep(Defaults().ClientIdle + quicIdle + time.Second)
		synctest.Wait()
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.ids)+len(q.addrs)+len(q.peers)+q.unproven.Len() != 0 || q.ledger.Counts().Connections != 0 {
			t.Errorf("left: %d IDs, %d connections, %d addresses, %d unproven, %d in the ledger", len(q.ids), len(q.addrs), len(q.peers), q.unproven.Len(), q.ledger.Counts().Connections)
		}
	})
}

// Whatever comes from the network is read without a fault, and an ID is never longer than QUIC's.
func FuzzQUICHeader(f *testing.F) {
	f.Add([]byte{0xc0, 0, 0, 0, 1, 2, 1, 2, 1, 3}, 4)
	f.Add([]byte{0x40, 1, 2, 3, 4, 5}, 4)
	f.Add([]byte{0xc0, 0, 0, 0, 1, 21}, 4)
	f.Fuzz(func(t *testing.T, p []byte, short int) {
		short = min(max(short, 0), quicIDMost)
		h, ok := parseQUIC(p, short)
		if !ok {
			return
		}
		if h.dst.size > quicIDMost || h.src.size > quicIDMost || !h.long && int(h.dst.size) != short || h.initial && !h.long {
			t.Errorf("%+v", h)
		}
	})
}
