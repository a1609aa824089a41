package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/bench/history"
	"github.com/honeyant/honeyant/cmd/command"
)

func TestReportOfTheSample(t *testing.T) {
	dir := alone(t)
	page, pictures := filepath.Join(dir, "r.html"), filepath.Join(dir, "pictures")
	text, code := output(t, "bench", "report", "-o", page, "--charts", pictures)
	if code != command.Done || !strings.Contains(text, "Ranking for storing files") {
		t.Errorf("exit code %d: %s", code, text)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.HasPrefix(string(html), "<!doctype html>") || !strings.Contains(string(html), "Sample:") {
		t.Errorf("the page: %v", err)
	}
	svg, _ := filepath.Glob(filepath.Join(pictures, "*.svg"))
	png, _ := filepath.Glob(filepath.Join(pictures, "*.png"))
	if len(svg) < 5 || len(svg) != len(png) {
		t.Errorf("%d SVG and %d PNG", len(svg), len(png))
	}
	if rest, _ := filepath.Glob(filepath.Join(dir, ".honeyant-*")); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
	text, code = output(t, "bench", "verdict", "-o", "", "--markdown")
	if code != command.Done || !strings.HasPrefix(text, "# What the machines can do") {
		t.Errorf("exit code %d: %s", code, text)
	}
	text, _ = output(t, "bench", "report", "-o", "", "--json")
	var a reportAnswer
	if err := json.Unmarshal([]byte(text), &a); err != nil || len(a.Runs) != 4 || len(a.Rankings) != 2 || a.Page != "" {
		t.Errorf("%v: %d runs, %d rankings, page %q", err, len(a.Runs), len(a.Rankings), a.Page)
	}
}

func TestReportOfAHistory(t *testing.T) {
	dir := alone(t)
	where := filepath.Join(dir, "h")
	if err := history.Append(t.Context(), where, history.Sample()[3]); err != nil {
		t.Fatal(err)
	}
	text, code := output(t, "bench", "report", "--history", where, "-o", "-")
	if code != command.Done || !strings.Contains(text, "azure") || strings.Contains(text, "ubuntu18") {
		t.Errorf("exit code %d", code)
	}
	for _, args := range [][]string{{"--width", "3"}, {"--history", filepath.Join(dir, "none")}, {"--unit", "furlong"}, {"--currency", "XYZ"}, {"extra"}} {
		if text, code := output(t, append([]string{"bench", "report", "-o", ""}, args...)...); code != command.Refused {
			t.Errorf("%v: exit code %d: %s", args, code, text)
		}
	}
	if _, code := output(t, "bench", "report", "--sample", "-o", filepath.Join(dir, "none", "r.html")); code == command.Done {
		t.Error("a page was written into a directory that is not there")
	}
}
