package advice

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/honeyant/honeyant"
)

// Money is an amount in a currency, by its three-letter code.
type Money struct {
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency"`
}

// String is the amount as people write it: $5.00, ¥500, €5.49.
func (m Money) String() string {
	sign, digits := m.Currency+" ", 2
	switch m.Currency {
	case "USD":
		sign = "$"
	case "EUR":
		sign = "€"
	case "GBP":
		sign = "£"
	case "JPY":
		sign, digits = "¥", 0
	case vmMonths:
		return strconv.FormatFloat(m.Amount, 'f', 2, 64) + " VM-months"
	}
	if a := math.Abs(m.Amount); a > 0 && a < 1 {
		digits = 2 - int(math.Floor(math.Log10(a))) // three digits that count
	}
	text := strconv.FormatFloat(math.Abs(m.Amount), 'f', digits, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	if m.Amount < 0 {
		sign = "-" + sign
	}
	return sign + whole
}

// vmMonths is the currency of the unit vm-month.
const vmMonths = "VM-months"

// Rate is what one unit of a currency is worth in US dollars.
type Rate struct {
	Currency string
	USD      float64
	AsOf     string
	Source   string
}

// Rates convert between currencies. Immutable once read.
type Rates map[string]Rate

// ReadRates reads the columns currency, usd, as_of, source. Errors: Invalid, by line.
func ReadRates(in io.Reader) (Rates, error) {
	rates := Rates{}
	err := eachRow(in, []string{"currency", "usd", "as_of", "source"}, func(get func(string) string) error {
		v, err := strconv.ParseFloat(get("usd"), 64)
		if err != nil || v <= 0 || math.IsInf(v, 0) {
			return fmt.Errorf("usd must be a positive number, not %q", get("usd"))
		}
		code := get("currency")
		if code == "" || get("as_of") == "" || get("source") == "" {
			return errors.New("a rate needs its currency, date and source")
		}
		rates[code] = Rate{code, v, get("as_of"), get("source")}
		return nil
	})
	return rates, err
}

// Convert changes an amount into another currency. Errors: Invalid for an unknown one.
func (r Rates) Convert(m Money, to string) (Money, error) {
	if m.Currency == to {
		return m, nil
	}
	from, ok1 := r[m.Currency]
	into, ok2 := r[to]
	if !ok1 || !ok2 {
		missing := to
		if !ok1 {
			missing = m.Currency
		}
		known := slices.Sorted(maps.Keys(r))
		return Money{}, honeyant.E("advice.Convert", honeyant.Invalid, missing, fmt.Errorf("no rate for this currency; there are %s", strings.Join(known, ", ")))
	}
	return Money{m.Amount * from.USD / into.USD, to}, nil
}

// Unit prints money in one currency, or in months of a reference machine: "that taxi was five
// servers". The zero value leaves every amount in its own currency.
type Unit struct {
	Currency string // JPY; empty: as priced
	Month    Money  // when positive, the price of the reference machine for a month
	Rates    Rates
}

// Of is the amount in the unit. Errors: Invalid for a currency without a rate.
func (u Unit) Of(m Money) (Money, error) {
	if u.Month.Amount > 0 {
		same, err := u.Rates.Convert(m, u.Month.Currency)
		if err != nil {
			return Money{}, err
		}
		return Money{same.Amount / u.Month.Amount, vmMonths}, nil
	}
	if u.Currency == "" {
		return m, nil
	}
	return u.Rates.Convert(m, u.Currency)
}

// eachRow calls fn for the rows of a table with a header; lines that begin with # are comments.
// Errors are Invalid and name the line.
func eachRow(in io.Reader, needed []string, fn func(get func(column string) string) error) error {
	const op = "advice.Read"
	r := csv.NewReader(in)
	r.Comment, r.TrimLeadingSpace, r.FieldsPerRecord = '#', true, -1
	head, err := r.Read()
	if err != nil {
		return honeyant.E(op, honeyant.Invalid, "line 1", fmt.Errorf("no header: %w", err))
	}
	for i := range head {
		head[i] = strings.TrimSpace(strings.TrimPrefix(head[i], "\ufeff"))
	}
	for _, n := range needed {
		if !slices.Contains(head, n) {
			return honeyant.E(op, honeyant.Invalid, "line 1", fmt.Errorf("the header lacks the column %s", n))
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return honeyant.E(op, honeyant.Invalid, "", err)
		}
		line, _ := r.FieldPos(0)
		where := fmt.Sprintf("line %d", line)
		if len(row) != len(head) {
			return honeyant.E(op, honeyant.Invalid, where, fmt.Errorf("%d fields, the header has %d", len(row), len(head)))
		}
		get := func(column string) string {
			if i := slices.Index(head, column); i >= 0 {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		if err := fn(get); err != nil {
			return honeyant.E(op, honeyant.Invalid, where, err)
		}
	}
}
