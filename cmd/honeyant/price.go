package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/cmd/command"
)

// priceOptions choose the price table and how money is printed; price, plan and report share them.
type priceOptions struct {
	prices, rates  string
	currency, unit string
	vm             string
}

func (p *priceOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.prices, "prices", "", "price table of your own (CSV); its rows go over the built-in ones")
	c.Flags().StringVar(&p.rates, "rates", "", "currency rates of your own (CSV)")
	c.Flags().StringVar(&p.currency, "currency", "", "print money in this currency (USD, EUR, JPY ...)")
	c.Flags().StringVar(&p.unit, "unit", "money", "money, or vm-month: how many months of the machine --vm that is")
	c.Flags().StringVar(&p.vm, "vm", "seed2020/lightsail", "the machine of --unit vm-month")
}

// load reads the table: the files named, or prices.csv and rates.csv in the node's directory if they exist.
func (p *priceOptions) load(o *options) (*advice.Table, advice.Unit, error) {
	prices, rates := p.prices, p.rates
	if prices == "" {
		prices = existing(o.dir + "/prices.csv")
	}
	if rates == "" {
		rates = existing(o.dir + "/rates.csv")
	}
	table, err := advice.LoadTable(prices, rates, false)
	if err != nil {
		return nil, advice.Unit{}, asRefused(err)
	}
	unit := advice.Unit{Currency: strings.ToUpper(p.currency), Rates: table.Rates}
	if unit.Currency != "" {
		if _, err := unit.Of(advice.Money{Currency: "USD"}); err != nil {
			return nil, unit, err
		}
	}
	switch p.unit {
	case "money":
	case "vm-month":
		vm, err := table.Find(p.vm)
		if err != nil {
			return nil, unit, err
		}
		if vm.Monthly.Amount <= 0 {
			return nil, unit, command.Usagef("%s costs nothing: it is no unit", vm.Name())
		}
		unit.Month = vm.Monthly
	default:
		return nil, unit, command.Usagef("--unit is money or vm-month, not %q", p.unit)
	}
	return table, unit, nil
}

func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// asRefused makes what a person named wrongly a wrong usage.
func asRefused(err error) error {
	if program().ExitCode(err) == command.Failed {
		return command.Usage(err)
	}
	return err
}

func newPrice(o *options) *cobra.Command {
	var p priceOptions
	var sortBy, kind, history string
	var export bool
	c := &cobra.Command{
		Use:   "price [WORD]",
		Short: "what machines, disks and buckets cost, each price with its date and source",
		Long: "Lists the price table: built in, old by nature, and yours to edit. Rows of a file given with --prices, or of\n" +
			"prices.csv in the node's directory, replace built-in rows of the same provider and plan and add others.\n" +
			"WORD keeps the rows that contain it. Exit code 2 for a table that can not be read.",
		Example: "  honeyant price --sort gb\n  honeyant price lightsail --currency JPY\n  honeyant price --unit vm-month\n  honeyant price --export > prices.csv      # edit it, then: honeyant price --prices prices.csv\n  honeyant price --sort score               # by what was measured",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if export {
				prices, _ := advice.BuiltinText()
				_, err := os.Stdout.Write(prices)
				return err
			}
			table, unit, err := p.load(o)
			if err != nil {
				return err
			}
			runs, _, err := loadHistory(o, history)
			if err != nil {
				return err
			}
			rows, err := priceRows(table, unit, runs)
			if err != nil {
				return err
			}
			rows = slices.DeleteFunc(rows, func(r priceRow) bool {
				return kind != "all" && string(r.Kind) != kind || len(args) > 0 && !strings.Contains(r.Name(), strings.ToLower(args[0]))
			})
			if err := sortPrices(rows, sortBy); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, rows)
			}
			showPrices(os.Stdout, rows, p.unit == "vm-month", unit)
			return nil
		},
	}
	p.flags(c)
	c.Flags().StringVar(&sortBy, "sort", "price", "price, gb (price of a GB), memory (price of a GB of memory), score (measured speed per money), name")
	c.Flags().StringVar(&kind, "kind", "all", "vm, block, bucket or all")
	c.Flags().StringVar(&history, "history", "", "history of measurements (default: bench in the node's directory)")
	c.Flags().BoolVar(&export, "export", false, "print the built-in table as a file to edit")
	return c
}

// priceRow is an offer with what follows from it. Money is in the unit asked for.
type priceRow struct {
	advice.Offer
	Price       advice.Money  `json:"price"`
	PerGB       *advice.Money `json:"per_gb,omitempty"`
	PerMemoryGB *advice.Money `json:"per_memory_gb,omitempty"`
	Score       float64       `json:"score_points,omitempty"` // measured: all processors
	ScorePer    float64       `json:"score_points_per_money,omitempty"`
	Rank        float64       `json:"-"` // price in US dollars: what sorting goes by
}

func priceRows(table *advice.Table, unit advice.Unit, runs []*bench.Run) ([]priceRow, error) {
	scores := advice.ScoresByOffer(table, runs)
	var rows []priceRow
	for _, offer := range table.Offers {
		row := priceRow{Offer: offer, Score: scores[offer.Name()]}
		var err error
		if row.Price, err = unit.Of(offer.Monthly); err != nil {
			return nil, err
		}
		usd, err := table.Rates.Convert(offer.Monthly, "USD")
		if err != nil {
			return nil, err
		}
		row.Rank = usd.Amount
		if m, ok := offer.PerGB(); ok {
			if m, err = unit.Of(m); err != nil {
				return nil, err
			}
			row.PerGB = &m
		}
		if offer.Kind == advice.KindVM && offer.MemoryGB > 0 {
			m := advice.Money{Amount: row.Price.Amount / offer.MemoryGB, Currency: row.Price.Currency}
			row.PerMemoryGB = &m
		}
		if row.Price.Amount > 0 {
			row.ScorePer = row.Score / row.Price.Amount
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func sortPrices(rows []priceRow, by string) error {
	inUSD := func(r priceRow, m *advice.Money) float64 { // the same currency for all, whatever is printed
		if m == nil {
			return 1e300
		}
		if r.Price.Amount == 0 {
			return 0
		}
		return m.Amount * r.Rank / r.Price.Amount
	}
	keys := map[string]func(r priceRow) float64{
		"price":  func(r priceRow) float64 { return r.Rank },
		"gb":     func(r priceRow) float64 { return inUSD(r, r.PerGB) },
		"memory": func(r priceRow) float64 { return inUSD(r, r.PerMemoryGB) },
		"score":  func(r priceRow) float64 { return -r.Score / max(r.Rank, 0.01) },
		"name":   func(priceRow) float64 { return 0 },
	}
	key, ok := keys[by]
	if !ok {
		return command.Usagef("--sort is price, gb, memory, score or name, not %q", by)
	}
	slices.SortStableFunc(rows, func(a, b priceRow) int {
		switch x, y := key(a), key(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return nil
}

func showPrices(w io.Writer, rows []priceRow, months bool, unit advice.Unit) {
	if len(rows) == 0 {
		fmt.Fprintln(w, "No row matches.")
		return
	}
	amount := func(m *advice.Money) string {
		if m == nil {
			return ""
		}
		if months {
			return strconv.FormatFloat(m.Amount, 'f', 3, 64)
		}
		return m.String()
	}
	number := func(v float64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	var lines [][]string
	scored := slices.ContainsFunc(rows, func(r priceRow) bool { return r.Score > 0 })
	for _, r := range rows {
		price, disk := amount(&r.Price), number(r.DiskGB)
		if r.ByTheGB() {
			price, disk = price+"/GB", "any"
		}
		if !r.Orderable {
			price += " †"
		}
		line := []string{r.Name(), string(r.Kind), number(r.VCPU), number(r.MemoryGB), disk, price, amount(r.PerGB)}
		if scored {
			line = append(line, number(float64(int(r.Score))), number(r.ScorePer))
		}
		lines = append(lines, append(line, r.AsOf, r.Source))
	}
	head := []string{"plan", "kind", "vcpu", "GB memory", "GB disk", "a month", "a GB-month"}
	if scored {
		head = append(head, "score", "score per money")
	}
	command.PrintTable(w, append(head, "as of", "source"), lines)
	fmt.Fprintln(w)
	if months {
		fmt.Fprintf(w, "One VM-month is %s. ", unit.Month)
	}
	fmt.Fprintln(w, "† not orderable now. Before tax; as old as the date says: check before you buy.")
}
