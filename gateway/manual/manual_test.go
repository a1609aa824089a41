package manual_test

import (
	"strings"
	"testing"

	"github.com/honeyant/honeyant/gateway/ledger"
	"github.com/honeyant/honeyant/gateway/manual"
)

func TestWordsLeadToTheirPage(t *testing.T) {
	for query, want := range map[string]string{
		"固まる": "deadlines", "プロセスが固まる": "deadlines", "タイムアウト": "deadlines", "hang": "deadlines", "timeout": "deadlines", "client_idle": "deadlines",
		"keep": "keepalive", "keep-alive": "keepalive", "持続的接続": "keepalive",
		"content-type": "content-type", "Content-Type": "content-type", "文字化け": "content-type", "ｃｏｎｔｅｎｔ－ｔｙｐｅ": "content-type", "バイナリが表示される": "content-type",
		"再起動": "restart", "upgrade": "restart", "address already in use": "restart", "ポートが使われている": "restart", "kill": "looking",
		"selftest": "selftest", "自己診断": "selftest", "certificate": "tls", "証明書": "tls", "reload": "config", "設定": "config", "Location": "mount", "GW2104": "GW2104",
		"smuggling": "smuggling", "リクエストが拒否される": "smuggling",
	} {
		hits, err := manual.Search(query)
		if err != nil {
			t.Fatal(err)
		}
		if len(hits) == 0 || hits[0].Page.Name != want {
			var got []string
			for _, h := range hits[:min(3, len(hits))] {
				got = append(got, h.Page.Name)
			}
			t.Errorf("%q: %v, want %s", query, got, want)
		}
	}
	if hits, err := manual.Search("zxqv"); err != nil || len(hits) > 0 {
		t.Errorf("%v, %v", hits, err)
	}
}

func TestPagesAreWhole(t *testing.T) {
	all, err := manual.Pages()
	if err != nil || len(all) < 8 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	for _, p := range all {
		if p.Title == "" || p.Words == "" || len(p.Text) < 100 || !strings.Contains(p.Text, "日本語") {
			t.Errorf("%s: %q %q", p.Name, p.Title, p.Words)
		}
	}
}

func TestEveryDeadlineIsInTheManual(t *testing.T) {
	p, ok, err := manual.Find("deadlines")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, l := range ledger.LimitTable() {
		if !strings.Contains(p.Text, string(l.Name)) && !strings.HasSuffix(string(l.Name), "_rate") {
			t.Errorf("%s is not explained", l.Name)
		}
	}
}

func FuzzSearch(f *testing.F) {
	f.Add("固まる keep")
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := manual.Search(query); err != nil {
			t.Fatal(err)
		}
	})
}
