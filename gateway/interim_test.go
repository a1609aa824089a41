package gateway_test

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"
)

// Interim responses of the origin reach the client, before the final one.
func TestEarlyHintsReachTheClient(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	addr := load(t, "ADDR {\n\treverse_proxy "+o.URL+"\n}\n")
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		if status == http.StatusEarlyHints {
			hints = append(hints, h.Get("Link"))
		}
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent || len(hints) != 1 || hints[0] != "</style.css>; rel=preload" {
		t.Errorf("status %d, hints %q", resp.StatusCode, hints)
	}
}
