package gateway_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// logged answers the first line of an access log.
func logged(t *testing.T, file string) map[string]any {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); wait(5 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		line, _, whole := strings.Cut(string(text), "\n")
		if !whole {
			continue
		}
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		return entry
	}
	t.Fatal("no line in the access log")
	return nil
}

// The status in the log is the one that the client got, also where a handler refuses.
func TestAccessLogHasTheStatusThatWasSent(t *testing.T) {
	nobody := free(t)
	for name, test := range map[string]struct {
		site   string
		status int
		code   string
	}{
		"a file that is not there":  {"root /nowhere\n\tfile_server", 404, ""},
		"a handler that refuses":    {"error 451", 451, ""},
		"nobody at the origin":      {"reverse_proxy " + nobody, 502, "GW2102"},
		"an answer":                 {"respond 201", 201, ""},
		"an answer to an error":     {"error 451\n\thandle_errors {\n\t\trespond 410\n\t}", 410, ""},
		"nothing handles it":        {"", 200, ""},
		"a redirect of the gateway": {"redir https://elsewhere.example/ 307", 307, ""},
	} {
		file := filepath.Join(t.TempDir(), "access.log")
		addr := load(t, "ADDR {\n\tlog {\n\t\toutput file "+file+"\n\t}\n\t"+test.site+"\n}\n")
		resp := get(t, http.MethodGet, "http://"+addr+"/a.txt")
		entry := logged(t, file)
		if resp.StatusCode != test.status || entry["status"] != float64(test.status) {
			t.Errorf("%s: the client got %d, the log says %v, both should be %d: %v", name, resp.StatusCode, entry["status"], test.status, entry)
		}
		if test.code == "" && (entry["code"] != nil || entry["sent_status"] != nil) || test.code != "" && entry["code"] == nil {
			t.Errorf("%s: %v", name, entry)
		}
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}
}
