package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/honeyant/honeyant/cmd/command"
)

// output runs a command line and answers what it printed.
func output(t *testing.T, args ...string) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stdout
	os.Stdout = w
	var text bytes.Buffer
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(&text, r) }()
	code := program().Run(context.Background(), args)
	os.Stdout = was
	w.Close()
	<-done
	r.Close()
	return text.String(), code
}

func alone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HONEYANT_DIR", dir)
	t.Setenv("XDG_STATE_HOME", dir)
	return dir
}

func TestPlanSaysBothTotals(t *testing.T) {
	alone(t)
	text, code := output(t, "plan", "--gb", "200", "--nodes", "10")
	if code != command.Done {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"equal workers", "one honeypot", "Recommended:", "Arithmetic of", "Assumed"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if text, _ = output(t, "plan", "--sample"); !strings.Contains(text, "azure: drop: ") || !strings.Contains(text, "ubuntu18: keep: ") {
		t.Errorf("nothing is said of each machine:\n%s", text)
	}
	text, code = output(t, "plan", "--sample", "--remove", "azure", "--json")
	var a planAnswer
	if err := json.Unmarshal([]byte(text), &a); err != nil || code != command.Done {
		t.Fatalf("%v, exit code %d", err, code)
	}
	if a.WhatIf == "" || len(a.WhatFleet) != 3 || a.WhatWays[0].WriteAll.MBps <= a.Outcomes[0].WriteAll.MBps {
		t.Errorf("without the slow disk: %+v", a.WhatWays[0].WriteAll)
	}
}

func TestWrongPlansAreRefused(t *testing.T) {
	dir := alone(t)
	bad := filepath.Join(dir, "bad.csv")
	if err := os.WriteFile(bad, []byte("provider,plan,kind,monthly,currency,as_of,source\na,b,vm,-5,USD,2026-01-01,x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	machines := filepath.Join(dir, "machines.csv")
	if err := os.WriteFile(machines, []byte("name,net_mb_per_s\nn1,-3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"plan", "--machines", machines}, {"plan", "--machines", filepath.Join(dir, "none.csv")}, {"plan", "--machines", machines, "--fleet", "nano"},
		{"plan", "--fleet", "3xrocket"}, {"plan", "--nodes", "3"}, {"plan", "--gb", "-1"}, {"plan", "--vm-loss", "200%"}, {"plan", "--vm-loss", "x"}, {"plan", "--ec", "4"},
		{"plan", "--sample", "--remove", "nobody"}, {"plan", "--sample", "--replace", "azure"}, {"plan", "--sample", "--bucket", "lightsail/nano"}, {"plan", "--sample", "--copies", "9"},
		{"plan", "--gb", "9999999", "--nodes", "3", "--provider", "azure"}, {"plan", "--currency", "XYZ"}, {"plan", "--unit", "furlong"}, {"plan", "--history", filepath.Join(dir, "none")},
		{"plan", "--plan", "lightsail/nano"}, {"plan", "--nodes", "3", "--gb", "10", "--add", "nano"},
		{"price", "--prices", bad}, {"price", "--prices", filepath.Join(dir, "none")}, {"price", "--sort", "colour"}, {"price", "--vm", "rocket", "--unit", "vm-month"},
	} {
		if text, code := output(t, args...); code != command.Refused {
			t.Errorf("honeyant %v: exit code %d, want %d: %s", args, code, command.Refused, text)
		}
	}
}

func TestPricesCanBeEdited(t *testing.T) {
	dir := alone(t)
	table, code := output(t, "price", "--export")
	if code != command.Done {
		t.Fatalf("exit code %d", code)
	}
	own := strings.Replace(table, "lightsail,nano,vm,2,0.5,20,1,5,USD", "lightsail,nano,vm,2,0.5,20,1,4.44,USD", 1)
	if err := os.WriteFile(filepath.Join(dir, "prices.csv"), []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	if text, code := output(t, "price", "lightsail/nano"); code != command.Done || !strings.Contains(text, "$4.44") {
		t.Errorf("exit code %d: %s", code, text)
	}
	text, _ := output(t, "price", "--unit", "vm-month", "--json", "seed2020")
	var rows []priceRow
	if err := json.Unmarshal([]byte(text), &rows); err != nil || len(rows) != 2 || rows[1].Price.Amount != 20 {
		t.Errorf("%v: %s", err, text)
	}
}
