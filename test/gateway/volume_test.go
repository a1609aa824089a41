package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// colony is one daemon with a mounted volume.
type colony struct {
	dir, mount string
}

// startColony makes a colony of one and mounts it, or skips the test.
func startColony(t *testing.T) colony {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a mount needs root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse on this machine")
	}
	base, err := os.MkdirTemp("", "honeyant-gateway-volume-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	honeyant := filepath.Join(base, "honeyant")
	if out, err := exec.Command("go", "build", "-o", honeyant, "github.com/honeyant/honeyant/cmd/honeyant").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := colony{dir: filepath.Join(base, "node"), mount: filepath.Join(base, "mount")}
	if err := os.Mkdir(c.mount, 0o755); err != nil {
		t.Fatal(err)
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(honeyant, append(args, "--dir", c.dir)...).CombinedOutput(); err != nil {
			t.Fatalf("honeyant %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	must("init", "--listen", free(t), "--capacity", "4GiB", "--memory", "96MiB")
	log := &lockedBuffer{}
	serve := exec.Command(honeyant, "serve", "--dir", c.dir)
	serve.Stderr = log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command(honeyant, "umount", c.mount, "--dir", c.dir).Run()
		serve.Process.Signal(syscall.SIGTERM)
		serve.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	eventually(t, "the colony answers", 30*time.Second, func() bool { return exec.Command(honeyant, "status", "--dir", c.dir).Run() == nil })
	must("mount", "--once", c.mount)
	return c
}

const page = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>A page of the colony</title><link rel="stylesheet" href="style.css"></head><body>
<h1>A page of the colony</h1>
<p>Served by the gateway from the volume, without a mount. 固まらない。</p>
<div><iframe id="text" src="COPYRIGHT"></iframe><iframe id="binary" src="program"></iframe><iframe id="pdf" src="paper.pdf"></iframe></div>
<pre id="out"></pre>
<script>
async function ask(name, headers) {
  const r = await fetch(name, {headers: headers || {}}), b = new Uint8Array(await r.arrayBuffer());
  const sum = Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", b))).map(x => x.toString(16).padStart(2, "0")).join("");
  return [name, r.status, r.headers.get("content-type"), r.headers.get("x-content-type-options"), b.length, sum.slice(0, 16)].join(" ");
}
addEventListener("load", async () => {
  const lines = [];
  for (const name of ["program", "setup.exe", "paper.pdf", "COPYRIGHT", "archive.gz", "style.css"]) lines.push(await ask(name));
  lines.push(await ask("big.iso", {Range: "bytes=1073741800-"}));
  const text = id => { try { return document.getElementById(id).contentDocument.body.innerText.trim() } catch (e) { return "another's" } };
  lines.push("shown: text [" + text("text") + "] binary [" + text("binary") + "]");
  document.getElementById("out").textContent = lines.join("\n") + "\nend";
});
</script></body></html>
`

// paper is a PDF of one page.
func paper() []byte {
	var b bytes.Buffer
	var at []int
	object := func(text string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), text)
	}
	b.WriteString("%PDF-1.4\n")
	const content = "BT /F1 24 Tf 20 100 Td (A paper of the colony) Tj ET"
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>")
	object(fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, offset := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}

const bigSize = 1 << 30

// fill writes the page and what belongs to it; it answers the sum of the big file, and of the others by name.
func fill(t *testing.T, dir string) (big string, sums map[string]string) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{7})
	binary := make([]byte, 100_000)
	random.Read(binary)
	copy(binary, "\x7fELF\x02\x01\x01\x00")
	files := map[string][]byte{
		"index.html": []byte(page), "program": binary, "setup.exe": append([]byte("MZ"), binary...), "paper.pdf": paper(),
		"COPYRIGHT": []byte("Copyright 2026, the ants.\n"), "archive.gz": append([]byte{0x1f, 0x8b, 8}, binary...), "style.css": []byte("h1 { color: darkgreen } iframe { width: 30% }\n"),
	}
	sums = map[string]string{}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		sums[name] = hex.EncodeToString(sum[:])
	}
	f, err := os.Create(filepath.Join(dir, "big.iso"))
	if err != nil {
		t.Fatal(err)
	}
	whole := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, whole), random, bigSize); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(whole.Sum(nil)), sums
}

// A page on a real volume, through the gateway, in a real browser: every file has the type that the browser should
// have, a binary is not shown as text, and a download of 1 GiB that is broken off is resumed to the same bytes.
func TestAPageOnAVolumeInABrowser(t *testing.T) {
	if !long() {
		t.Skip("part of make gateway: a colony, 1 GiB and a browser take half a minute")
	}
	need(t, "chromium", "curl")
	c := startColony(t)
	big, sums := fill(t, c.mount)
	g := startWith(t, "{\n\tadmin off\n\tpersist_config off\n\tskip_install_trust\n\tauto_https disable_redirects\n\tfilesystem volume honeyant / {\n\t\tsocket "+
		filepath.Join(c.dir, "honeyant.sock")+"\n\t}\n}\n", "\tfs volume\n\tfile_server")
	url := "https://" + g.address + "/"

	t.Run("browser", func(t *testing.T) { inBrowser(t, url, sums) })
	t.Run("head is get", func(t *testing.T) {
		for name := range sums {
			var types []string
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				req, err := http.NewRequestWithContext(t.Context(), method, url+strings.TrimPrefix(name, "index.html"), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := httpClient(false, true).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				types = append(types, resp.Status+" "+resp.Header.Get("Content-Type")+" "+resp.Header.Get("ETag")+" "+resp.Header.Get("Content-Length"))
			}
			if types[0] != types[1] {
				t.Errorf("%s: GET %s, HEAD %s", name, types[0], types[1])
			}
		}
	})
	t.Run("a broken download is resumed", func(t *testing.T) {
		part := filepath.Join(t.TempDir(), "big.iso")
		ctx, cancel := context.WithCancel(t.Context())
		first := exec.CommandContext(ctx, "curl", "-sk", "-o", part, url+"big.iso")
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "100 MiB are there", time.Minute, func() bool { s, err := os.Stat(part); return err == nil && s.Size() > 100<<20 })
		cancel()
		first.Wait()
		if s, err := os.Stat(part); err != nil || s.Size() >= bigSize {
			t.Fatalf("the first download was not broken off: %v, %v", s, err)
		}
		if out, err := exec.CommandContext(t.Context(), "curl", "-skS", "-C", "-", "-o", part, url+"big.iso").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		f, err := os.Open(part)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sum := sha256.New()
		if n, err := io.Copy(sum, f); n != bigSize || err != nil || hex.EncodeToString(sum.Sum(nil)) != big {
			t.Errorf("%d bytes, other than were written: %v", n, err)
		}
		out, err := exec.CommandContext(t.Context(), "curl", "-sk", "-r", "536870912-536871935", "-o", part, "-w", "%{http_code} %{size_download}", url+"big.iso").Output()
		if string(out) != "206 1024" || err != nil {
			t.Errorf("a range from the middle: %s, %v", out, err)
		}
		eventually(t, "nothing is left", 5*time.Second, func() bool { return strings.TrimSpace(g.must("ps", "--json")) == "[]" })
	})
}

func inBrowser(t *testing.T, url string, sums map[string]string) {
	t.Helper()
	profile := t.TempDir()
	browser := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "chromium", append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--no-first-run",
			"--disable-dev-shm-usage", "--user-data-dir=" + profile, "--virtual-time-budget=20000", "--window-size=1000,700"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+profile)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
		return string(out)
	}
	if picture := os.Getenv("HONEYANT_GATEWAY_PICTURE"); picture != "" {
		browser("--screenshot="+picture, url)
	}
	dom := browser("--dump-dom", url)
	found := regexp.MustCompile(`(?s)<pre id="out">(.*)\nend</pre>`).FindStringSubmatch(dom)
	if found == nil {
		t.Fatalf("the page's script did not come to its end: %s", dom)
	}
	got := strings.Split(found[1], "\n")
	short := func(name string) string { return sums[name][:16] }
	want := []string{
		"program 200 application/octet-stream nosniff 100000 " + short("program"),
		"setup.exe 200 application/", // which one is the machine's mime.types
		"paper.pdf 200 application/pdf ",
		"COPYRIGHT 200 text/plain; charset=utf-8 nosniff 26 " + short("COPYRIGHT"),
		"archive.gz 200 application/gzip ",
		"style.css 200 text/css; charset=utf-8 ",
		"big.iso 206 application/",
		"shown: text [Copyright 2026, the ants.] binary []",
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines: %s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("the browser saw %q, not %q", got[i], want[i])
		}
	}
	if end := strconv.Itoa(bigSize - 1073741800); !strings.Contains(got[6], " "+end+" ") {
		t.Errorf("the end of the big file: %s", got[6])
	}
}
