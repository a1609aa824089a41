package report

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/honeyant/honeyant"
)

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// section is a heading and the charts whose IDs begin so.
type section struct {
	title  string
	prefix []string
}

func sections() []section {
	return []section{
		{"For the money", []string{"rank-", "value-"}},
		{"Between machines", []string{"pairs-"}},
		{"How long single operations take", []string{"latency-"}},
		{"After the credits are spent", []string{"burst-"}},
		{"Over time", []string{"time-"}},
	}
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

// page builds HTML. markup is trusted, everything else goes through text; html/template would do this
// too, but its reflection keeps 5 MB of otherwise unused code in the binary.
type page struct{ b strings.Builder }

type markup string

func (p *page) add(m markup) { p.b.WriteString(string(m)) }

func (p *page) text(s string) { p.b.WriteString(html.EscapeString(s)) }

// tag is an element with text in it; nothing if the text is empty.
func (p *page) tag(open markup, s string, end markup) {
	if s != "" {
		p.add(open)
		p.text(s)
		p.add(end)
	}
}

const pageHead markup = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:">
`

// WriteHTML writes the page.
func (r *Report) WriteHTML(w io.Writer) error {
	p := &page{}
	p.add(pageHead)
	p.tag("<title>", r.Title+" · Honeyant", "</title>\n<style>\n")
	p.add(markup(pageCSS))
	p.tag("</style>\n</head>\n<body>\n<main>\n<h1>", r.Title, "</h1>\n")
	p.tag(`<p class="muted">`, r.Subtitle, "</p>\n")
	if r.Sample {
		p.add(`<p class="note">Sample: figures that people measured by hand in 2020, once each. <code>honeyant bench</code> measures your machines.</p>` + "\n")
	}
	for _, v := range r.Verdicts {
		p.tag(`<p class="verdict">`, v, "</p>\n")
	}
	if len(r.Cards) > 0 {
		p.add("<h2>Machines</h2>\n<div class=\"cards\">\n")
		for i := range r.Cards {
			p.card(&r.Cards[i])
		}
		p.add("</div>\n")
	}
	for _, s := range sections() {
		if err := p.section(s, r.Charts); err != nil {
			return err
		}
	}
	if len(r.Tables) > 0 {
		p.add("<h2>All figures</h2>\n")
	}
	for _, t := range r.Tables {
		p.add(map[bool]markup{true: "<details open>", false: "<details>"}[t.Open])
		p.tag("<summary>", t.Title, "</summary>")
		p.table(t)
		p.add("</details>\n")
	}
	if len(r.Missing) > 0 {
		p.add("<h2>Not measured yet</h2>\n<ul>")
		for _, m := range r.Missing {
			p.tag("<li>", m, "</li>")
		}
		p.add("</ul>\n")
	}
	p.add("<footer>Made by honeyant bench report. MB/s are 10⁶ bytes a second. Prices are before tax and as old as the table says.</footer>\n</main>\n<script>\n")
	p.add(markup(pageJS))
	p.add("</script>\n</body>\n</html>\n")
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *page) card(c *Card) {
	p.tag(`<section class="card"><header><h3>`, c.Name, "</h3>")
	p.tag(`<span class="price">`, c.Price, "</span>")
	p.add("</header>\n")
	p.tag("<small>", join(" · ", c.Plan, c.System), "</small>\n")
	p.tag("<small>", c.Made, "</small>\n")
	p.add("<dl>")
	for _, f := range c.Figures {
		p.tag("<dt>", f.Label, "</dt>")
		p.tag("<dd>", f.Value, "")
		p.tag("<span>", f.Spread, "</span>")
		p.add("</dd>\n")
	}
	p.add("</dl>\n")
	if len(c.Notes) > 0 {
		p.add(map[bool]markup{true: `<ul class="bad">`, false: "<ul>"}[c.Bad])
		for _, n := range c.Notes {
			p.tag("<li>", n, "</li>")
		}
		p.add("</ul>\n")
	}
	p.tag("<small>", "measured "+c.When, "</small></section>\n")
}

func (p *page) section(s section, charts []Chart) error {
	begun := false
	for i := range charts {
		c := &charts[i]
		if !hasPrefix(c.ID, s.prefix) {
			continue
		}
		if !begun {
			p.tag("<h2>", s.title, "</h2>\n<div class=\"charts\">\n")
			begun = true
		}
		if err := p.figure(c); err != nil {
			return err
		}
	}
	if begun {
		p.add("</div>\n")
	}
	return nil
}

func (p *page) figure(c *Chart) error {
	p.tag(`<figure id="`, c.ID, `"><figcaption><h3>`)
	p.text(c.Title)
	p.add("</h3>")
	p.tag(`<span class="muted">`, c.Note, "</span>")
	p.add("</figcaption>\n")
	for _, l := range looks() {
		svg, err := c.Draw(l.look)
		if err != nil {
			return honeyant.E("report.WriteHTML", honeyant.Internal, c.ID, err)
		}
		p.tag(`<div class="v `, l.class, `" role="img" aria-label="`)
		p.text(c.Alt)
		p.add(`">` + markup(svg) + "</div>\n") // the library escapes the text within
	}
	p.add("<details><summary>Figures</summary>")
	p.table(c.Table)
	p.add("</details></figure>\n")
	return nil
}

func (p *page) table(t Table) {
	p.add(`<div class="scroll"><table><thead><tr>`)
	for _, h := range t.Header {
		p.add(`<th scope="col">`)
		p.text(h)
		p.add("</th>")
	}
	p.add("</tr></thead><tbody>\n")
	for _, row := range t.Rows {
		p.add("<tr>")
		for i, cell := range row {
			if i == 0 {
				p.add(`<th scope="row">`)
				p.text(cell)
				p.add("</th>")
				continue
			}
			p.add("<td>")
			p.text(cell)
			p.add("</td>")
		}
		p.add("</tr>\n")
	}
	p.add("</tbody></table></div>")
	p.tag(`<p class="muted">`, t.Note, "</p>")
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
