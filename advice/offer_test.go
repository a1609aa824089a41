package advice_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/advice"
)

func builtin(t *testing.T) *advice.Table {
	t.Helper()
	table, err := advice.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestBuiltinTable(t *testing.T) {
	table := builtin(t)
	for _, name := range []string{"lightsail/nano", "hetzner/cx23", "seed2020/azure", "NANO", "ec2/s3-standard"} {
		if _, err := table.Find(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range table.Offers {
		if _, err := table.Rates.Convert(o.Monthly, "JPY"); err != nil {
			t.Errorf("%s: %v", o.Name(), err)
		}
		if o.Kind == advice.KindVM && (o.VCPU == 0 || o.MemoryGB == 0) {
			t.Errorf("%s: a VM without processors or memory", o.Name())
		}
	}
}

func TestBadTables(t *testing.T) {
	const head = "provider,plan,kind,monthly,currency,as_of,source\n"
	for name, c := range map[string]struct{ text, words string }{
		"negative price":  {head + "a,b,vm,-5,USD,2026-01-01,x\n", "line 2: invalid: a/b: monthly is negative: -5"},
		"no number":       {head + "a,b,vm,cheap,USD,2026-01-01,x\n", "must be a number"},
		"not a number":    {head + "a,b,vm,NaN,USD,2026-01-01,x\n", "must be a number"},
		"no price":        {head + "a,b,vm,,USD,2026-01-01,x\n", "must be a number"},
		"no date":         {head + "a,b,vm,5,USD,,x\n", "needs its date"},
		"no source":       {head + "a,b,vm,5,USD,2026-01-01,\n", "and its source"},
		"no currency":     {head + "a,b,vm,5,,2026-01-01,x\n", "no currency"},
		"unknown kind":    {head + "a,b,car,5,USD,2026-01-01,x\n", "kind must be"},
		"twice":           {head + "a,b,vm,5,USD,2026-01-01,x\na,b,vm,6,USD,2026-01-01,x\n", "line 3: invalid: a/b stands here twice"},
		"too few fields":  {head + "a,b,vm\n", "3 fields"},
		"no such column":  {"provider,plan\n", "lacks the column kind"},
		"empty":           {"", "no header"},
		"comment counted": {head + "# hello\na,b,vm,-5,USD,2026-01-01,x\n", "line 3"},
	} {
		if _, err := advice.ReadOffers(strings.NewReader(c.text)); !errors.Is(err, honeyant.Invalid) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := advice.ReadRates(strings.NewReader("currency,usd,as_of,source\nJPY,0,2026,x\n")); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("a rate of zero: %v", err)
	}
}

func TestOwnTableOverTheBuiltin(t *testing.T) {
	dir := t.TempDir()
	prices, rates := filepath.Join(dir, "p.csv"), filepath.Join(dir, "r.csv")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(prices, "provider,plan,kind,disk_gb,monthly,currency,as_of,source\nlightsail,nano,vm,20,4,USD,2026-11-22,invoice\nmine,rack,vm,1000,30,CHF,2026-11-22,invoice\n")
	write(rates, "currency,usd,as_of,source\nCHF,1.2,2026-11-22,bank\n")
	table, err := advice.LoadTable(prices, rates, false)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := table.Find("lightsail/nano"); err != nil || o.Monthly.Amount != 4 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := table.Find("rack"); err != nil || o.Monthly.Currency != "CHF" {
		t.Errorf("%+v, %v", o, err)
	}
	if m, err := table.Rates.Convert(advice.Money{Amount: 10, Currency: "CHF"}, "USD"); err != nil || m.Amount != 12 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := advice.LoadTable(filepath.Join(dir, "none"), "", false); !errors.Is(err, honeyant.NotExist) {
		t.Errorf("a missing table: %v", err)
	}
	if _, err := advice.LoadTable(filepath.Join(dir, "none"), "", true); err != nil {
		t.Errorf("a table that may be missing: %v", err)
	}
	for _, name := range []string{"rocket", "", "basic"} {
		if _, err := table.Find(name); !errors.Is(err, honeyant.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestMoney(t *testing.T) {
	for want, m := range map[string]advice.Money{"$5.00": {5, "USD"}, "¥10,000": {10000, "JPY"}, "€1,234,567.50": {1234567.5, "EUR"}, "-$3.50": {-3.5, "USD"},
		"CHF 0.00": {0, "CHF"}, "$0.0230": {0.023, "USD"}, "¥0.670": {0.67, "JPY"}} {
		if m.String() != want {
			t.Errorf("%v: %q, want %q", m.Amount, m.String(), want)
		}
	}
	table := builtin(t)
	month, err := table.Find("seed2020/lightsail")
	if err != nil {
		t.Fatal(err)
	}
	unit := advice.Unit{Month: month.Monthly, Rates: table.Rates}
	if m, err := unit.Of(advice.Money{Amount: 2500, Currency: "JPY"}); err != nil || m.String() != "5.00 VM-months" {
		t.Errorf("a taxi of ¥2,500: %v, %v", m, err)
	}
	if _, err := (advice.Unit{Currency: "XYZ", Rates: table.Rates}).Of(advice.Money{Amount: 1, Currency: "USD"}); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("an unknown currency: %v", err)
	}
}

func FuzzReadOffers(f *testing.F) {
	prices, _ := advice.BuiltinText()
	f.Add(string(prices))
	f.Fuzz(func(t *testing.T, text string) {
		offers, err := advice.ReadOffers(strings.NewReader(text))
		for _, o := range offers {
			if err == nil && (o.Monthly.Amount < 0 || o.Source == "" || o.AsOf == "") {
				t.Errorf("accepted %+v", o)
			}
		}
	})
}
