package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/honeyant/honeyant"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// section is a heading and the charts whose IDs begin so.
type section struct {
	Title   string
	prefix  []string
	Figures []figure
}

func sections() []section {
	return []section{
		{Title: "For the money", prefix: []string{"rank-", "value-"}},
		{Title: "Between machines", prefix: []string{"pairs-"}},
		{Title: "How long single operations take", prefix: []string{"latency-"}},
		{Title: "After the credits are spent", prefix: []string{"burst-"}},
	}
}

type figure struct {
	*Chart
	Variants []variant
}

type variant struct {
	Class string
	SVG   template.HTML
}

// looks are the four that the page holds; its style shows one.
func looks() []struct {
	class string
	look  Look
} {
	return []struct {
		class string
		look  Look
	}{
		{"wide light", Look{Width: WideWidth}}, {"wide dark", Look{Width: WideWidth, Dark: true}},
		{"narrow light", Look{Width: NarrowWidth}}, {"narrow dark", Look{Width: NarrowWidth, Dark: true}},
	}
}

// WriteHTML writes the page.
func (r *Report) WriteHTML(w io.Writer) error {
	const op = "report.WriteHTML"
	page, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return honeyant.E(op, honeyant.Internal, "", err)
	}
	all := sections()
	kept := all[:0]
	for _, s := range all {
		for i := range r.Charts {
			c := &r.Charts[i]
			if !hasPrefix(c.ID, s.prefix) {
				continue
			}
			f := figure{Chart: c}
			for _, l := range looks() {
				svg, err := c.Draw(l.look)
				if err != nil {
					return honeyant.E(op, honeyant.Internal, c.ID, err)
				}
				f.Variants = append(f.Variants, variant{l.class, template.HTML(svg)}) // the library escapes the text within
			}
			s.Figures = append(s.Figures, f)
		}
		if len(s.Figures) > 0 {
			kept = append(kept, s)
		}
	}
	return page.Execute(w, struct {
		*Report
		Sections []section
		CSS      template.CSS
		JS       template.JS
		Made     string
	}{r, kept, template.CSS(pageCSS), template.JS(pageJS), ""})
}

func hasPrefix(id string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(id, p) {
			return true
		}
	}
	return false
}

// AllTables are the tables of all charts and all figures, for a terminal.
func (r *Report) AllTables() []Table {
	var all []Table
	seen := map[string]bool{}
	for _, c := range r.Charts {
		if c.ID == "machines" || seen[c.Table.Title] {
			continue
		}
		seen[c.Table.Title] = true
		all = append(all, c.Table)
	}
	return append(all, r.Tables...)
}

// WriteMarkdown writes the verdicts, the machines and all tables.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", r.Title, markdown(r.Subtitle))
	for _, v := range r.Verdicts {
		fmt.Fprintf(&b, "\n**%s**\n", markdown(v))
	}
	for _, c := range r.Cards {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", markdown(c.Name), markdown(join(" · ", c.Plan, c.Price, c.System, c.Made, "measured "+c.When)))
		for _, f := range c.Figures {
			fmt.Fprintf(&b, "* %s: %s\n", markdown(f.Label), markdown(join(" ", f.Value, f.Spread)))
		}
		for _, n := range c.Notes {
			fmt.Fprintf(&b, "* *%s*\n", markdown(n))
		}
	}
	for _, t := range r.AllTables() {
		fmt.Fprintf(&b, "\n## %s\n\n", markdown(t.Title))
		row := func(cells []string) {
			for _, c := range cells {
				fmt.Fprintf(&b, "| %s ", markdown(c))
			}
			b.WriteString("|\n")
		}
		row(t.Header)
		b.WriteString("|---" + strings.Repeat("|---:", len(t.Header)-1) + "|\n")
		for _, r := range t.Rows {
			row(r)
		}
		if t.Note != "" {
			fmt.Fprintf(&b, "\n%s\n", markdown(t.Note))
		}
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "\nNot measured yet: %s\n", markdown(m))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown keeps text from becoming markup.
func markdown(s string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;", "*", `\*`, "`", "\\`", "[", `\[`).Replace(s)
}
