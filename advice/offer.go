package advice

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
)

// Kind of an offer.
type Kind string

// A VM by the month, block storage for one VM by the GB-month, a bucket by the GB-month (or
// by the month, with a size).
const (
	KindVM     Kind = "vm"
	KindBlock  Kind = "block"
	KindBucket Kind = "bucket"
)

// Offer is a row of the price table: something that can be rented.
type Offer struct {
	Provider  string  `json:"provider"`
	Plan      string  `json:"plan"`
	Kind      Kind    `json:"kind"`
	VCPU      float64 `json:"vcpu,omitempty"`
	MemoryGB  float64 `json:"memory_gb,omitempty"`
	DiskGB    float64 `json:"disk_gb,omitempty"` // 0 of a VM: none comes with it; 0 of storage: priced by the GB
	TrafficTB float64 `json:"traffic_tb,omitempty"`
	Monthly   Money   `json:"monthly"`                        // a month, or a GB-month where DiskGB is 0 and it is storage
	Baseline  float64 `json:"cpu_baseline_percent,omitempty"` // of each processor, for ever; 0: not limited, or unknown
	Orderable bool    `json:"orderable"`
	AsOf      string  `json:"as_of"` // day or month of the price
	Source    string  `json:"source"`
	Note      string  `json:"note,omitempty"`
}

// Name is how the command line calls it: provider/plan.
func (o Offer) Name() string { return o.Provider + "/" + o.Plan }

// ByTheGB tells that Monthly is the price of one GB.
func (o Offer) ByTheGB() bool { return o.Kind != KindVM && o.DiskGB == 0 }

// PerGB is the price of one GB of disk a month; ok is false for a VM without a disk.
func (o Offer) PerGB() (m Money, ok bool) {
	if o.ByTheGB() {
		return o.Monthly, true
	}
	if o.DiskGB <= 0 {
		return Money{}, false
	}
	return Money{o.Monthly.Amount / o.DiskGB, o.Monthly.Currency}, true
}

//go:embed prices.csv
var builtinPrices []byte

//go:embed rates.csv
var builtinRates []byte

// Table is the price table with its currencies. Treat it as immutable.
type Table struct {
	Offers []Offer
	Rates  Rates
}

// Builtin is the table that comes with the program.
func Builtin() (*Table, error) {
	offers, err := ReadOffers(bytes.NewReader(builtinPrices))
	if err != nil {
		return nil, err
	}
	rates, err := ReadRates(bytes.NewReader(builtinRates))
	return &Table{offers, rates}, err
}

// BuiltinText is the built-in table as it can be edited: the prices, then the rates.
func BuiltinText() (prices, rates []byte) {
	return bytes.Clone(builtinPrices), bytes.Clone(builtinRates)
}

// LoadTable is the built-in table with a person's own rows over it: those of the same provider
// and plan replace the built-in ones. A file that does not exist is no error if it may be missing.
// Errors: NotExist, or Invalid with file and line.
func LoadTable(pricesFile, ratesFile string, mayBeMissing bool) (*Table, error) {
	const op = "advice.LoadTable"
	t, err := Builtin()
	if err != nil {
		return nil, err
	}
	open := func(name string) (io.ReadCloser, error) {
		f, err := os.Open(name)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, os.ErrNotExist) && mayBeMissing:
			return nil, nil
		case errors.Is(err, os.ErrNotExist):
			return nil, honeyant.E(op, honeyant.NotExist, name, nil)
		}
		return nil, honeyant.E(op, honeyant.Permission, name, err)
	}
	if pricesFile != "" {
		if f, err := open(pricesFile); err != nil {
			return nil, err
		} else if f != nil {
			own, err := ReadOffers(f)
			f.Close()
			if err != nil {
				return nil, honeyant.E("", honeyant.Invalid, pricesFile, err)
			}
			t.merge(own)
		}
	}
	if ratesFile != "" {
		if f, err := open(ratesFile); err != nil {
			return nil, err
		} else if f != nil {
			own, err := ReadRates(f)
			f.Close()
			if err != nil {
				return nil, honeyant.E("", honeyant.Invalid, ratesFile, err)
			}
			for code, r := range own {
				t.Rates[code] = r
			}
		}
	}
	return t, nil
}

func (t *Table) merge(own []Offer) {
	for _, o := range own {
		i := slices.IndexFunc(t.Offers, func(have Offer) bool { return have.Name() == o.Name() })
		if i >= 0 {
			t.Offers[i] = o
		} else {
			t.Offers = append(t.Offers, o)
		}
	}
}

// Find is the offer of that name; a plan alone is enough if only one provider has it. Errors:
// NotExist with what is like it, Invalid if it is ambiguous.
func (t *Table) Find(name string) (Offer, error) {
	const op = "advice.Find"
	var plain, like []Offer
	for _, o := range t.Offers {
		if strings.EqualFold(o.Name(), name) {
			return o, nil
		}
		if strings.EqualFold(o.Plan, name) {
			plain = append(plain, o)
		}
		if name != "" && strings.Contains(strings.ToLower(o.Name()), strings.ToLower(name)) {
			like = append(like, o)
		}
	}
	if len(plain) == 1 {
		return plain[0], nil
	}
	if len(plain) > 1 {
		return Offer{}, honeyant.E(op, honeyant.Invalid, name, fmt.Errorf("say which: %s", names(plain)))
	}
	if len(like) > 0 {
		return Offer{}, honeyant.E(op, honeyant.Invalid, name, fmt.Errorf("no such plan; like it: %s", names(like)))
	}
	return Offer{}, honeyant.E(op, honeyant.Invalid, name, errors.New("no such plan; honeyant price lists them, and takes a table of your own"))
}

func names(offers []Offer) string {
	var all []string
	for i, o := range offers {
		if i == 6 {
			all = append(all, "...")
			break
		}
		all = append(all, o.Name())
	}
	return strings.Join(all, ", ")
}

var priceColumns = []string{"provider", "plan", "kind", "monthly", "currency", "as_of", "source"}

// ReadOffers reads a price table: a header and rows of comma-separated values. Errors: Invalid,
// naming the line: a negative price, a row without date or source.
func ReadOffers(in io.Reader) ([]Offer, error) {
	var offers []Offer
	err := eachRow(in, priceColumns, func(get func(string) string) error {
		o := Offer{Provider: get("provider"), Plan: get("plan"), Kind: Kind(get("kind")), AsOf: get("as_of"), Source: get("source"), Note: get("note"), Orderable: true}
		if o.Provider == "" || o.Plan == "" {
			return errors.New("a row needs its provider and plan")
		}
		if !slices.Contains([]Kind{KindVM, KindBlock, KindBucket}, o.Kind) {
			return fmt.Errorf("%s: kind must be vm, block or bucket, not %q", o.Name(), o.Kind)
		}
		for _, f := range []struct {
			column string
			to     *float64
		}{{"vcpu", &o.VCPU}, {"memory_gb", &o.MemoryGB}, {"disk_gb", &o.DiskGB}, {"traffic_tb", &o.TrafficTB}, {"cpu_baseline_percent", &o.Baseline}, {"monthly", &o.Monthly.Amount}} {
			text := get(f.column)
			if text == "" && f.column != "monthly" {
				continue
			}
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%s: %s must be a number, not %q", o.Name(), f.column, text)
			}
			if v < 0 {
				return fmt.Errorf("%s: %s is negative: %s", o.Name(), f.column, text)
			}
			*f.to = v
		}
		if o.Monthly.Currency = get("currency"); o.Monthly.Currency == "" {
			return fmt.Errorf("%s: the price has no currency", o.Name())
		}
		if !isDate(o.AsOf) || o.Source == "" {
			return fmt.Errorf("%s: a price needs its date (2026-11-22 or 2026-11) and its source", o.Name())
		}
		switch get("orderable") {
		case "", "yes":
		case "no":
			o.Orderable = false
		default:
			return fmt.Errorf("%s: orderable must be yes or no, not %q", o.Name(), get("orderable"))
		}
		if slices.ContainsFunc(offers, func(have Offer) bool { return have.Name() == o.Name() }) {
			return fmt.Errorf("%s stands here twice", o.Name())
		}
		offers = append(offers, o)
		return nil
	})
	return offers, err
}

func isDate(s string) bool {
	for _, layout := range []string{"2006-01-02", "2006-01", "2006"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}
