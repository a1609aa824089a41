package gateway_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tool skips a test that runs another project's program against the gateway for a minute or more.
func tool(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("HONEYANT_GATEWAY_TOOLS") == "" {
		t.Skip("part of make gateway-tools")
	}
	need(t, programs...)
}

// served is a gateway with a file for the tools.
func served(t *testing.T) (g *gateway, host, port string) {
	t.Helper()
	www := t.TempDir()
	for name, size := range map[string]int{"index.txt": 10, "big.bin": 300_000} {
		if err := os.WriteFile(filepath.Join(www, name), []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g = start(t, "\troot "+www+"\n\tfile_server\n\theader Strict-Transport-Security max-age=63072000\n\tlog {\n\t\toutput discard\n\t}")
	host, port, _ = strings.Cut(g.address, ":")
	return g, host, port
}

// excused are the cases of h2spec 2.2.1 that Go's HTTP/2, and so plain Caddy, answers otherwise than it wants. All are
// refused or lawful.
var excused = map[string]string{
	"Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE":                                                              "the server allows 1 MiB, which h2spec does not look at; the request is answered 400",
	"Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                                                                  "the connection is closed",
	"Sends a HEADERS frame that contains the connection-specific header field":                                                               "answered 400 (RFC 9113, 8.1.1 allows that)",
	"Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"":                                         "answered 400",
	"Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA frame payload length":                      "the response was there before the body was",
	"Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum of the multiple DATA frames payload length": "the response was there before the body was",
	"Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream":                                     "the stream was done before the window was",
}

func TestH2spec(t *testing.T) {
	tool(t, "h2spec")
	_, host, port := served(t)
	report := filepath.Join(t.TempDir(), "report.xml")
	out, _ := exec.CommandContext(t.Context(), "h2spec", "-t", "-k", "-h", host, "-p", port, "-P", "/index.txt", "--timeout", "3", "-j", report).CombinedOutput()
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r struct {
		Suites []struct {
			Package string `xml:"package,attr"`
			Cases   []struct {
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	all, failed := 0, 0
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			all++
			if c.Failure == nil && c.Error == nil {
				continue
			}
			failed++
			if why, ok := excused[c.Name]; ok {
				t.Logf("%s: %s: %s", s.Package, c.Name, why)
			} else {
				t.Errorf("%s: %s", s.Package, c.Name)
			}
		}
	}
	if all < 140 {
		t.Errorf("only %d cases: %s", all, out)
	}
	t.Logf("%d of %d", all-failed, all)
}

func TestSslscan(t *testing.T) {
	tool(t, "sslscan")
	g, _, _ := served(t)
	out, err := exec.CommandContext(t.Context(), "sslscan", "--no-colour", "--xml=-", g.address).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`version="2" enabled="1"`, `version="3" enabled="1"`, `version="1.0" enabled="1"`, `version="1.1" enabled="1"`, `vulnerable="1"`, `strength="weak"`, `strength="null"`, `strength="anonymous"`} {
		if strings.Contains(string(out), bad) {
			t.Errorf("%s in %s", bad, out)
		}
	}
	for _, good := range []string{`version="1.2" enabled="1"`, `version="1.3" enabled="1"`, "TLS_AES_128_GCM_SHA256"} {
		if !strings.Contains(string(out), good) {
			t.Errorf("no %s in %s", good, out)
		}
	}
}

// testssl finds nothing severe, but for the certificate: one that is made here has no way to be revoked.
func TestTestssl(t *testing.T) {
	tool(t, "testssl")
	g, _, _ := served(t)
	report := filepath.Join(t.TempDir(), "report.json")
	out, _ := exec.CommandContext(t.Context(), "testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", report, "-p", "-s", "-f", "-P", "-S", "-U", g.address).CombinedOutput()
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var rows []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 50 {
		t.Errorf("only %d findings: %s", len(rows), out)
	}
	for _, r := range rows {
		if (r.Severity == "HIGH" || r.Severity == "CRITICAL") && !strings.HasPrefix(r.ID, "cert_") {
			t.Errorf("%s %s: %s", r.Severity, r.ID, r.Finding)
		}
	}
}

// A thousand slow clients of three kinds: others are served all the time, and nothing is left.
func TestSlowhttptest(t *testing.T) {
	tool(t, "slowhttptest")
	g, _, _ := served(t)
	colours := regexp.MustCompile("\x1b\\[[0-9;]*[a-zA-Z]")
	for name, flags := range map[string][]string{
		"slow headers": {"-H", "-i", "10"},
		"slow bodies":  {"-B", "-i", "10", "-s", "8192"},
		"slow reading": {"-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(flags, "-c", "1000", "-r", "200", "-l", "240", "-p", "3", "-u", fmt.Sprintf("https://%s/big.bin", g.address))
			raw, err := exec.CommandContext(t.Context(), "slowhttptest", args...).CombinedOutput()
			out := colours.ReplaceAllString(string(raw), "")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if strings.Contains(out, "service available:   NO") || !strings.Contains(out, "service available:   YES") {
				t.Errorf("others were not served: %s", out)
			}
			if _, _, n := g.held(); n > 0 {
				eventually(t, "the last ones are cut", 70e9, func() bool { _, _, n := g.held(); return n == 0 })
			}
		})
	}
}
