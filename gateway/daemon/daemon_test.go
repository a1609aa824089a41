package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func finished(t *testing.T, config string) string {
	t.Helper()
	out, err := finish([]byte(config), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestFinishAddsOnlyWhatIsNotSaid(t *testing.T) {
	out := finished(t, `{"apps":{"http":{"servers":{"s":{"listen":[":443","127.0.0.1:8000-8002","unix//run/x","udp/:1"],"routes":[{"match":[{"host":["example.org"]}],
		"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"reverse_proxy"}]}]}]}]}}}}}`)
	for _, want := range []string{`"honeyant/:443"`, `"honeyant/127.0.0.1:8000-8002"`, `"unix//run/x"`, `"udp/:1"`, `"protocols":["h1","h2"]`, `"handler":"` + gateHandler + `"`,
		`"stream_close_delay":86400000000000`, `"grace_period":10000000000`, `"admin":{"config":{"persist":false},"disabled":true}`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in %s", want, out)
		}
	}
	if strings.Contains(out, "install_trust") {
		t.Error("an authority is made for a public name")
	}
	if before, after, _ := strings.Cut(out, gateHandler); !strings.Contains(before, "honeyant_ledger") || !strings.Contains(after, "reverse_proxy") {
		t.Errorf("the gate does not stand between ledger and routes: %s", out)
	}
	said := finished(t, `{"admin":{"listen":"unix//x"},"apps":{"http":{"grace_period":5,"servers":{"s":{"listen":[":443"],"protocols":["h1","h2","h3"],
		"routes":[{"handle":[{"handler":"reverse_proxy","stream_close_delay":1}]}]}}}}}`)
	for _, want := range []string{`"admin":{"listen":"unix//x"}`, `"grace_period":5`, `"protocols":["h1","h2","h3"]`, `"stream_close_delay":1`} {
		if !strings.Contains(said, want) {
			t.Errorf("%s was changed in %s", want, said)
		}
	}
	for _, local := range []string{`{"apps":{"http":{"servers":{"s":{"listen":[":443"],"routes":[{"match":[{"host":["localhost"]}]}]}}}}}`,
		`{"apps":{"tls":{"automation":{"policies":[{"issuers":[{"module":"internal"}]}]}},"http":{"servers":{}}}}`} {
		if out := finished(t, local); !strings.Contains(out, `"install_trust":false`) {
			t.Errorf("the machine's trust store would be changed: %s", out)
		}
	}
}

func FuzzFinish(f *testing.F) {
	f.Add([]byte(`{"apps":{"http":{"servers":{"s":{"listen":[":443"],"routes":[{"match":[{"host":["a"]}]}]}}}}}`))
	f.Add([]byte(`{"apps":{"http":{"servers":{"s":{"listen":[1],"routes":{}}}}},"admin":3}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, config []byte) {
		out, err := finish(config, time.Second)
		if err == nil && !json.Valid(out) {
			t.Fatalf("%s", out)
		}
		hostNames(config)
	})
}

func TestHostNamesLeavesPlainServersOut(t *testing.T) {
	names := hostNames([]byte(`{"apps":{"http":{"servers":{"a":{"listen":[":443"],"routes":[{"match":[{"host":["x","y"]}]}]},"b":{"listen":["honeyant/:80"],"routes":[{"match":[{"host":["z"]}]}]}}}}}`))
	if strings.Join(names, " ") != "x y" {
		t.Errorf("%q", names)
	}
}

func TestSourcesThatCanNotBeMeant(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source Source
		want   string
	}{
		"nothing":      {Source{}, "say what to serve"},
		"both":         {Source{File: "x", Root: dir}, "exclude"},
		"no site":      {Source{Root: dir}, "for which name"},
		"no content":   {Source{Site: []string{"a"}}, "either --root"},
		"both of them": {Source{Site: []string{"a"}, Root: dir, To: []string{"http://b"}}, "either --root"},
		"no origin":    {Source{Site: []string{"a"}, To: []string{"b:80"}}, "no origin"},
		"a path":       {Source{Site: []string{"a"}, To: []string{"http://b/c"}}, "has a path"},
		"no directory": {Source{Site: []string{"a"}, Root: file}, "no directory"},
		"missing":      {Source{Site: []string{"a"}, Root: filepath.Join(dir, "x")}, "no such file"},
		"good":         {Source{Site: []string{"a"}, Root: dir}, ""},
		"good too":     {Source{Site: []string{"a"}, To: []string{"http://b:1", "https://c/"}}, ""},
	} {
		err := c.source.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWordsCanNotBreakOutOfTheirPlace(t *testing.T) {
	s := Source{Site: []string{"a {\n}\nimport /etc/passwd"}, To: []string{`http://b"`}}
	text, err := s.Text()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], `"a { } import /etc/passwd" {`) || !strings.Contains(lines[1], `\"`) {
		t.Errorf("%s", text)
	}
}

func TestLocateFindsTheLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("a {\n  respond x\n  @m path_regexp ^(\n  respond y\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Source{File: file}
	for text, want := range map[string]string{
		"module name 'path_regexp': bad": file + ":3: ",
		"bad 'respond' here":             file + ": ", // on two lines: none is said rather than a wrong one
		file + ":4: said already":        file + ":4: said",
		"nothing cited":                  file + ": nothing",
	} {
		if got := locate(errors.New(text), s); !strings.HasPrefix(got.Error(), want) {
			t.Errorf("%s: %v", text, got)
		}
	}
	if locate(nil, s) != nil {
		t.Error("an error out of nothing")
	}
}

func TestTheGateWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		g.enter()
		g.enter()
		go func() { time.Sleep(time.Second); g.leave(); time.Sleep(time.Second); g.leave() }()
		began := time.Now()
		if left := g.wait(t.Context()); left != 0 || time.Since(began) != 2*time.Second {
			t.Errorf("%d left after %s", left, time.Since(began))
		}
		g.enter()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if left := g.wait(ctx); left != 1 {
			t.Errorf("%d left", left)
		}
		back := g.part()
		if g.parting.Load() != 1 {
			t.Error("not parting")
		}
		back()
		back()
		if g.parting.Load() != 0 {
			t.Error("still parting")
		}
	})
}
