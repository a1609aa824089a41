package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/advice"
	"github.com/honeyant/honeyant/advice/report"
	"github.com/honeyant/honeyant/bench"
	"github.com/honeyant/honeyant/cmd/command"
)

// reportOptions are the flags of honeyant bench report.
type reportOptions struct {
	*options
	price            priceOptions
	out, charts      string
	dir              string
	markdown, sample bool
	dark             bool
	width            int
}

func newBenchReport(o *options) *cobra.Command {
	r := &reportOptions{options: o}
	c := &cobra.Command{
		Use:     "report",
		Aliases: []string{"verdict"},
		Short:   "everything that was measured, as one page, tables and pictures",
		Long: "Writes one self-contained HTML page (it asks the network for nothing and can be sent by mail) and prints its tables.\n" +
			"With --charts each picture is also written as SVG and PNG. Before anything is measured it shows the sample of 2020.",
		Example: "  honeyant bench report                       # honeyant-report.html and tables\n  honeyant bench report -o - > page.html\n  honeyant bench report --markdown -o '' > report.md\n  honeyant bench report --charts pictures --dark",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return r.run(os.Stdout) },
	}
	r.price.flags(c)
	f := c.Flags()
	f.StringVarP(&r.out, "output", "o", "honeyant-report.html", "file of the page; - prints it, '' leaves it out")
	f.StringVar(&r.charts, "charts", "", "directory for the pictures, each as SVG and PNG")
	f.BoolVar(&r.dark, "dark", false, "draw the pictures of --charts on a dark ground")
	f.IntVar(&r.width, "width", report.WideWidth, "width of the pictures of --charts in pixels")
	f.BoolVar(&r.markdown, "markdown", false, "print the tables as Markdown")
	f.BoolVar(&r.sample, "sample", false, "the sample figures of 2020")
	f.StringVar(&r.dir, "history", "", "history of measurements (default: this machine's)")
	return c
}

// reportAnswer is what --json prints.
type reportAnswer struct {
	Page     string           `json:"page,omitempty"`
	Pictures []string         `json:"pictures,omitempty"`
	Verdicts []string         `json:"verdicts"`
	Rankings []advice.Ranking `json:"rankings"`
	Runs     []*bench.Run     `json:"runs"`
}

func (r *reportOptions) run(w io.Writer) error {
	if r.width < 200 || r.width > 4000 {
		return command.Usagef("--width is between 200 and 4000 pixels")
	}
	table, unit, err := r.price.load(r.options)
	if err != nil {
		return err
	}
	runs, _, err := loadOrSample(r.options, r.dir, r.sample)
	if err != nil {
		return err
	}
	made, err := report.Build(report.Options{Runs: runs, Table: table, Unit: unit, Now: time.Now()})
	if err != nil {
		return err
	}
	a := reportAnswer{Verdicts: made.Verdicts, Runs: runs}
	if r.out != "" {
		var page bytes.Buffer
		if err := made.WriteHTML(&page); err != nil {
			return err
		}
		if r.out == "-" {
			_, err := w.Write(page.Bytes())
			return err
		}
		if err := replaceFile(r.out, page.Bytes()); err != nil {
			return err
		}
		a.Page = r.out
	}
	if r.charts != "" {
		if a.Pictures, err = r.pictures(made); err != nil {
			return err
		}
	}
	switch {
	case r.json:
		if a.Rankings, err = advice.Rank(table, runs); err != nil {
			return err
		}
		return command.PrintJSON(w, a)
	case r.markdown:
		return made.WriteMarkdown(w)
	}
	showReport(w, made)
	if a.Page != "" {
		fmt.Fprintf(w, "\nThe page is %s.\n", a.Page)
	}
	if r.charts != "" {
		fmt.Fprintf(w, "%d pictures are in %s.\n", len(a.Pictures), r.charts)
	}
	return nil
}

func (r *reportOptions) pictures(made *report.Report) (names []string, err error) {
	if err := os.MkdirAll(r.charts, 0o755); err != nil {
		return nil, err
	}
	for i := range made.Charts {
		c := &made.Charts[i]
		for suffix, png := range map[string]bool{".svg": false, ".png": true} {
			picture, err := c.Draw(report.Look{Dark: r.dark, PNG: png, Width: r.width, Title: true})
			if err != nil {
				return names, err
			}
			name := filepath.Join(r.charts, c.ID+suffix)
			if err := replaceFile(name, picture); err != nil {
				return names, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// replaceFile writes beside and renames, so that nothing half-written is ever found.
func replaceFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".honeyant-*")
	if err != nil {
		return honeyant.E("report", honeyant.Permission, name, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func showReport(w io.Writer, r *report.Report) {
	fmt.Fprintf(w, "%s\n%s\n", r.Title, r.Subtitle)
	for _, v := range r.Verdicts {
		fmt.Fprintln(w, " ", v)
	}
	for _, t := range r.AllTables() {
		fmt.Fprintf(w, "\n%s\n", t.Title)
		command.PrintTable(w, t.Header, t.Rows)
		if t.Note != "" {
			fmt.Fprintln(w, t.Note)
		}
	}
	for _, c := range r.Cards {
		for _, n := range c.Notes {
			fmt.Fprintf(w, "\n%s: %s", c.Name, n)
		}
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "\nNot measured yet: %s", m)
	}
	fmt.Fprintln(w)
}
