package gateway_test

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// BenchmarkQUICDownload downloads 64 MB over HTTP/3 from a socket that is followed and from one
// that is not, in turns. The ratio is the median of their speeds, pair by pair.
func BenchmarkQUICDownload(b *testing.B) {
	const size = 64 << 20
	bare, followed, line, dir := free(b), free(b), certificate(b), bigFile(b, size)
	site := func(addr string) string {
		return "https://" + addr + " {\n\t" + line + "\n\troot " + dir + "\n\tfile_server\n}\n"
	}
	text := fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\toutput discard\n\t}\n\tauto_https off\n\tgrace_period 1s\n\tstorage file_system %s\n\tservers %s {\n\t\tpacket_conn_wrappers {\n\t\t\thoneyant\n\t\t}\n\t}\n}\n%s%s",
		b.TempDir(), followed, site(bare), site(followed))
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	defer caddy.Stop()
	speed := func(addr string) float64 {
		s := &site3{t: b, addr: addr}
		begun := time.Now()
		resp := s.get(s.client(), "/big")
		if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
			b.Fatal(n, err)
		}
		return size / time.Since(begun).Seconds() / 1e6
	}
	speed(bare)
	var ratios, plain []float64
	for i := range b.N {
		var with, without float64
		if i%2 == 0 {
			without, with = speed(bare), speed(followed)
		} else {
			with, without = speed(followed), speed(bare)
		}
		ratios, plain = append(ratios, with/without), append(plain, without)
		b.Logf("%.0f MB/s followed, %.0f MB/s not", with, without)
	}
	slices.Sort(ratios)
	slices.Sort(plain)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(plain[len(plain)/2], "MB/s-bare")
}
