package report_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/bench/history"
)

// wrapper shows the page in a frame of a given width, as a phone or a desk has it, looks at
// what came of it, and presses the buttons of the first figure. What it found stands in #out.
const wrapper = `<!doctype html><title>wrapper</title><body style="margin:0">
<iframe id="f" src="/page" style="border:0;width:%[1]dpx;height:%[2]dpx"></iframe><pre id="out"></pre>
<script>
const frame = document.getElementById("f");
frame.onload = async () => {
  const w = frame.contentWindow, d = w.document, found = {};
  found.width = w.innerWidth;
  found.scrollWidth = d.documentElement.scrollWidth;
  found.wide = [...d.querySelectorAll("main *")].filter((e) => {
    if (e.closest(".scroll, .v, svg, details:not([open])")) return false;
    return e.getBoundingClientRect().right > w.innerWidth + 1;
  }).map((e) => e.tagName + " " + e.className).slice(0, 5);
  const light = (text) => { const [r, g, b] = text.match(/[\d.]+/g).map((v) => (v / 255) ** 2.2); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const style = w.getComputedStyle(d.body);
  found.paper = light(style.backgroundColor);
  found.ink = light(style.color);
  const figures = [...d.querySelectorAll("figure[id]")];
  found.figures = figures.length;
  found.notOne = figures.filter((f) => [...f.querySelectorAll(".v")].filter((v) => v.offsetParent !== null).length !== 1).map((f) => f.id);
  found.flat = figures.filter((f) => { const s = [...f.querySelectorAll(".v")].find((v) => v.offsetParent !== null); return !s || s.querySelector("svg").getBoundingClientRect().height < 50; }).map((f) => f.id);
  found.small = [...d.querySelectorAll("svg text")].filter((t) => t.closest(".v").offsetParent !== null && t.getBoundingClientRect().height > 0 && t.getBoundingClientRect().height < 8).length;
  found.buttons = figures.filter((f) => f.querySelectorAll("button").length !== 2).map((f) => f.id);
  const saved = [];
  w.HTMLAnchorElement.prototype.click = function () { saved.push([this.download, this.href]); };
  if (figures.length) {
    for (const b of figures[0].querySelectorAll("button")) b.click();
    for (let i = 0; i < 100 && saved.length < 2; i++) await new Promise((r) => setTimeout(r, 20));
  }
  found.saved = [];
  for (const [name, href] of saved) {
    const bytes = new Uint8Array(await (await fetch(href)).arrayBuffer());
    found.saved.push(name + " " + String.fromCharCode(...bytes.slice(0, 4)).replace("\x89", "") + " " + (bytes.length > 500));
  }
  document.getElementById("out").textContent = JSON.stringify(found) + "\nend";
};
</script>`

// seen is what the wrapper found.
type seen struct {
	Width       int      `json:"width"`
	ScrollWidth int      `json:"scrollWidth"`
	Wide        []string `json:"wide"` // elements that stick out to the right
	Paper       float64  `json:"paper"`
	Ink         float64  `json:"ink"` // luminance
	Figures     int      `json:"figures"`
	NotOne      []string `json:"notOne"` // figures that show none or two of their four looks
	Flat        []string `json:"flat"`
	Small       int      `json:"small"` // texts in pictures that nobody can read
	Buttons     []string `json:"buttons"`
	Saved       []string `json:"saved"`
}

// chromium runs the browser without a window on an address and returns the page as it became
// and what its console said.
func chromium(t *testing.T, url string, flags ...string) (dom string, console []string) {
	t.Helper()
	profile := t.TempDir()
	args := append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
		"--enable-logging=stderr", "--user-data-dir=" + profile, "--virtual-time-budget=15000"}, flags...)
	cmd := exec.CommandContext(t.Context(), "chromium", append(args, url)...)
	cmd.Env = append(os.Environ(), "HOME="+profile)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v: %s", err, said.String())
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, "CONSOLE") {
			console = append(console, strings.TrimSpace(line))
		}
	}
	return out.String(), console
}

// The page in a real browser: in light and dark, on a phone and on a desk, nothing sticks
// out, each figure shows one picture, texts can be read, the buttons save what they say, the
// console is silent, and nothing but the page is asked for. $HONEYANT_REPORT_DIR gets the pictures.
func TestPageInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser eight times: make browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed: honeyant doctor --pkg chromium, or apt-get install chromium")
	}
	for name, runs := range map[string][]*bench.Run{"sample": history.Sample(), "invented": invented()} {
		text := page(t, build(t, runs))
		for _, screen := range []struct {
			name          string
			width, height int
		}{{"phone", 390, 844}, {"desk", 1280, 900}} {
			for _, scheme := range []string{"light", "dark"} {
				t.Run(fmt.Sprintf("%s %s %s", name, screen.name, scheme), func(t *testing.T) {
					lookAt(t, text, screen.width, screen.height, scheme)
				})
			}
		}
	}
}

func lookAt(t *testing.T, text string, width, height int, scheme string) {
	var mu sync.Mutex // guards asked
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/page":
			fmt.Fprint(w, text)
		case "/wrap":
			fmt.Fprintf(w, wrapper, width, height)
		case "/favicon.ico": // the browser's own idea
			w.WriteHeader(http.StatusNoContent)
		default:
			mu.Lock()
			asked = append(asked, r.URL.Path)
			mu.Unlock()
		}
	}))
	defer server.Close()
	flags := []string{fmt.Sprintf("--window-size=%d,%d", max(width, 800), height), "--blink-settings=preferredColorScheme=" + map[string]string{"dark": "0", "light": "1"}[scheme]}
	dom, console := chromium(t, server.URL+"/wrap", append(flags, "--dump-dom")...)
	found := regexp.MustCompile(`(?s)<pre id="out">(.*)\nend</pre>`).FindStringSubmatch(dom)
	if found == nil {
		t.Fatalf("the wrapper's script did not come to its end; the console: %v", console)
	}
	var s seen
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &s); err != nil {
		t.Fatal(err)
	}
	if len(console) > 0 {
		t.Errorf("the console says %v", console)
	}
	if len(asked) > 0 {
		t.Errorf("the page asked for %v", asked)
	}
	if s.Width != width || s.ScrollWidth > width || len(s.Wide) > 0 {
		t.Errorf("%d pixels wide on a screen of %d (%d): %v stick out", s.ScrollWidth, s.Width, width, s.Wide)
	}
	if dark := scheme == "dark"; dark != (s.Paper < 0.05) || dark != (s.Ink > 0.5) {
		t.Errorf("paper %.2f and ink %.2f in %s", s.Paper, s.Ink, scheme)
	}
	if contrast := (max(s.Paper, s.Ink) + 0.05) / (min(s.Paper, s.Ink) + 0.05); contrast < 7 { // WCAG 2.2, 1.4.6
		t.Errorf("a contrast of %.1f", contrast)
	}
	if s.Figures < 3 || len(s.NotOne) > 0 || len(s.Flat) > 0 || s.Small > 0 || len(s.Buttons) > 0 {
		t.Errorf("%d figures, not one picture in %v, flat %v, %d texts too small, without both buttons %v", s.Figures, s.NotOne, s.Flat, s.Small, s.Buttons)
	}
	if len(s.Saved) != 2 || !strings.HasSuffix(s.Saved[0], ".svg <svg true") || !strings.HasSuffix(s.Saved[1], ".png PNG true") {
		t.Errorf("saved %q", s.Saved)
	}
	if dir := os.Getenv("HONEYANT_REPORT_DIR"); dir != "" {
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if r.URL.Path == "/page" {
				fmt.Fprint(w, text)
				return
			}
			fmt.Fprintf(w, `<!doctype html><body style="margin:0"><iframe src="/page" style="border:0;width:%dpx;height:6000px"></iframe>`, width)
		})
		name := strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestPageInABrowser/"), "_", "-") + ".png"
		chromium(t, server.URL+"/", fmt.Sprintf("--window-size=%d,6000", width), flags[1], "--screenshot="+filepath.Join(dir, name))
	}
}
