package report

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/go-analyze/charts"
	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
)

// Chart is a picture that can be drawn in any look, with its figures as a table.
type Chart struct {
	ID    string // also the file's name: "latency-disk-fsync"
	Title string
	Alt   string // what it shows, in a sentence
	Note  string // how to read it
	Table Table
	draw  func(l Look, title string) ([]byte, error) // title is empty unless wanted
}

// Table is rows under a header.
type Table struct {
	Title  string
	Header []string
	Rows   [][]string
	Note   string
	Open   bool // shown at once on the page, not only when asked for
}

// Draw gives the picture as SVG or PNG.
func (c *Chart) Draw(l Look) ([]byte, error) {
	if l.Width <= 0 {
		l.Width = WideWidth
	}
	title := ""
	if l.Title {
		title = c.Title
	}
	picture, err := c.draw(l, title)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.ID, err)
	}
	return picture, nil
}

// line is a curve, or points, in an xy chart.
type line struct {
	name string
	x, y []float64
	dots bool // points only
	dash bool
	tone int // which series colour
}

// xyChart is what the library's chart is made of.
type xyChart struct {
	xName, yName string
	xTicks       func(most int) []chartdraw.Tick
	yTicks       []chartdraw.Tick
	lines        []line
	labels       []chartdraw.Value2 // names beside points
}

func (x *xyChart) render(l Look, title string) ([]byte, error) {
	p, top := l.palette(), 0
	height := l.Width * 9 / 16
	most := 9
	if l.narrow() {
		height, most = l.Width*17/20, 4
	}
	if title != "" {
		top = titleHeight
		height += top
	}
	text := chartdraw.Style{FontStyle: l.font(p.muted), StrokeColor: p.grid, StrokeWidth: 1}
	grid := chartdraw.Style{StrokeColor: p.grid, StrokeWidth: 1}
	name := chartdraw.Style{FontStyle: l.font(p.ink)}
	c := chartdraw.Chart{Width: l.Width, Height: height, Font: charts.GetDefaultFont(),
		Background:     chartdraw.Style{FillColor: p.paper, Padding: chartdraw.NewBox(14+15*x.legendRows(l)+top, 14, 16, 10)},
		Canvas:         chartdraw.Style{FillColor: p.paper},
		XAxis:          chartdraw.XAxis{Name: x.xName, NameStyle: name, Style: text, Ticks: x.xTicks(most), GridMajorStyle: grid, GridMinorStyle: grid},
		YAxis:          chartdraw.YAxis{Style: chartdraw.Hidden(), Range: &chartdraw.ContinuousRange{Min: 0, Max: 1}}, // the library's first axis stands on the right
		YAxisSecondary: chartdraw.YAxis{Name: x.yName, NameStyle: name, Style: text, Ticks: x.yTicks, GridMajorStyle: grid, GridMinorStyle: grid}}
	for _, s := range x.lines {
		style := chartdraw.Style{StrokeColor: p.of(s.tone), StrokeWidth: 2}
		if s.dash {
			style.StrokeDashArray = []float64{5, 4}
		}
		if s.dots {
			style = chartdraw.Style{StrokeColor: drawing.ColorTransparent, StrokeWidth: -1, DotColor: p.of(s.tone), DotWidth: 5}
		}
		c.Series = append(c.Series, chartdraw.ContinuousSeries{Name: s.name, XValues: s.x, YValues: s.y, Style: style, YAxis: chartdraw.YAxisSecondary})
	}
	if len(x.labels) > 0 {
		c.Elements = append(c.Elements, x.names(l))
	}
	if len(x.lines) > 1 {
		c.Elements = append(c.Elements, x.legend(l, top))
	}
	if title != "" {
		c.Elements = append(c.Elements, func(r chartdraw.Renderer, _ chartdraw.Box, _ chartdraw.Style) {
			style := l.font(p.ink)
			style.FontSize += titleLarger
			chartdraw.Style{FontStyle: style}.WriteTextOptionsToRenderer(r)
			r.Text(title, 10, 20)
		})
	}
	var out bytes.Buffer
	provider := chartdraw.SVG
	if l.PNG {
		provider = chartdraw.PNG
	}
	err := c.Render(provider, &out)
	return out.Bytes(), err
}

// legendRows guesses how many rows the legend takes.
func (x *xyChart) legendRows(l Look) int {
	rows, left := 1, 10
	for _, s := range x.lines {
		width := 34 + len([]rune(s.name))*int(l.fontSize()*0.8)
		if left+width > l.Width && left > 10 {
			rows, left = rows+1, 10
		}
		left += width
	}
	return rows
}

// legend names the lines above the canvas, in rows as wide as there is room.
func (x *xyChart) legend(l Look, top int) chartdraw.Renderable {
	return func(r chartdraw.Renderer, canvas chartdraw.Box, _ chartdraw.Style) {
		p := l.palette()
		left, y := 10, 18+top
		for _, s := range x.lines {
			chartdraw.Style{FontStyle: l.font(p.ink)}.WriteTextOptionsToRenderer(r)
			width := r.MeasureText(s.name).Width()
			if left+width+34 > l.Width && left > 10 {
				left, y = 10, y+15
			}
			s.key(r, left, y-4, p.of(s.tone))
			chartdraw.Style{FontStyle: l.font(p.ink)}.WriteTextOptionsToRenderer(r)
			r.Text(s.name, left+20, y)
			left += width + 34
		}
	}
}

// key draws what stands for the line in the legend.
func (s line) key(r chartdraw.Renderer, x, y int, color drawing.Color) {
	r.SetStrokeColor(color)
	r.SetStrokeDashArray(nil)
	if s.dots {
		r.SetStrokeWidth(0)
		r.SetFillColor(color)
		r.Circle(4.5, x+10, y)
		r.Fill()
		return
	}
	if s.dash {
		r.SetStrokeDashArray([]float64{5, 4})
	}
	r.SetStrokeWidth(3)
	r.MoveTo(x, y)
	r.LineTo(x+16, y)
	r.Stroke()
	r.SetStrokeDashArray(nil)
}

// names writes labels beside points, on the side where there is room, each clear of those before it.
func (x *xyChart) names(l Look) chartdraw.Renderable {
	return func(r chartdraw.Renderer, canvas chartdraw.Box, _ chartdraw.Style) {
		most := 9
		if l.narrow() {
			most = 4
		}
		xt, yt := x.xTicks(most), x.yTicks
		at := func(v chartdraw.Value2) (int, int) {
			fx := (v.XValue - xt[0].Value) / (xt[len(xt)-1].Value - xt[0].Value)
			fy := (v.YValue - yt[0].Value) / (yt[len(yt)-1].Value - yt[0].Value)
			return canvas.Left + int(math.Round(fx*float64(canvas.Width()))), canvas.Bottom - int(math.Round(fy*float64(canvas.Height())))
		}
		var taken []chartdraw.Box
		labels := slices.Clone(x.labels)
		for _, v := range labels {
			px, py := at(v)
			taken = append(taken, chartdraw.NewBox(py-6, px-6, px+6, py+6))
		}
		chartdraw.Style{FontStyle: l.font(l.palette().ink)}.WriteTextOptionsToRenderer(r)
		for _, v := range labels {
			size := r.MeasureText(v.Label)
			px, py := at(v)
			w, h := size.Width(), size.Height()
			tries := [][2]int{{px - 6 - w, py - 7}, {px - w/2, py - 10}, {px - 9 - w, py + h/2}, {px + 6, py - 8}, {px + 9, py + h/2}, {px + 8, py + 8 + h}, {px - w/2, py + 10 + h}, {px - 6 - w, py + 8 + h}}
			for _, t := range tries {
				box := chartdraw.NewBox(t[1]-h, t[0], t[0]+w, t[1])
				if t[0] < canvas.Left-4 || t[0]+w > l.Width-2 || t[1]-h < canvas.Top-6 || t[1] > canvas.Bottom+2 {
					continue
				}
				if slices.ContainsFunc(taken, func(b chartdraw.Box) bool {
					return box.Left < b.Right && b.Left < box.Right && box.Top < b.Bottom && b.Top < box.Bottom
				}) {
					continue
				}
				taken = append(taken, box)
				r.Text(v.Label, t[0], t[1])
				break
			}
		}
	}
}

// heatMap is a matrix of values; NaN is an empty cell.
func heatMap(l Look, title string, values [][]float64, rows, columns []string, lowGood bool) ([]byte, error) {
	p := l.painter(titleRoom(title) + 72 + max(28, min(44, 420/max(1, len(rows))))*len(rows))
	o := charts.NewHeatMapOptionWithData(values)
	for y := range o.Values {
		o.Values[y] = slices.Clone(values[y])
		for x, v := range o.Values[y] {
			if math.IsNaN(v) {
				o.Values[y][x] = charts.GetNullValue()
			}
		}
	}
	o.Theme, o.Title = l.heatTheme(lowGood), l.title(title)
	style := charts.FontStyle{FontSize: l.fontSize(), FontColor: l.palette().ink}
	o.XAxis = charts.HeatMapAxis{Title: "to", Labels: shorten(columns, l.Width/max(1, len(columns))/9), LabelFontStyle: style, TitleFontStyle: style, LabelCount: len(columns)}
	o.YAxis = charts.HeatMapAxis{Title: "from", Labels: shorten(rows, 14), LabelFontStyle: style, TitleFontStyle: style, LabelCount: len(rows)}
	zero := 0.0
	o.ScaleMinValue = &zero
	o.Padding = charts.NewBox(6, 6, 10, 6)
	show := true
	o.ValuesLabel = charts.SeriesLabel{Show: &show, ValueFormatter: number, FontStyle: charts.FontStyle{FontSize: l.fontSize()}}
	if err := p.HeatMapChart(o); err != nil {
		return nil, err
	}
	return p.Bytes()
}

// bars are horizontal, the first on top.
func bars(l Look, title string, names []string, values []float64, tone int) ([]byte, error) {
	p := l.painter(titleRoom(title) + 34 + 30*len(names))
	names, values = slices.Clone(names), slices.Clone(values)
	slices.Reverse(names)
	slices.Reverse(values)
	o := charts.NewBarChartOptionWithData([][]float64{values})
	theme := l.palette()
	o.Horizontal, o.Padding = true, charts.NewBox(6, 4, 60, 4)
	o.Theme = charts.MakeTheme(charts.ThemeOption{IsDarkMode: l.Dark, AxisStrokeColor: theme.grid, AxisSplitLineColor: theme.paper, BackgroundColor: theme.paper,
		TextColor: theme.ink, SeriesColors: []charts.Color{theme.of(tone)}})
	o.Title = l.title(title)
	style := charts.FontStyle{FontSize: l.fontSize(), FontColor: theme.ink}
	o.CategoryAxis.Labels = shorten(names, 18)
	o.CategoryAxis.LabelFontStyle = style
	hide := false
	zero := 0.0
	o.ValueAxis = []charts.ValueAxisOption{{Show: &hide, Min: &zero, LabelFontStyle: style}}
	show := true
	o.SeriesList[0].Label = charts.SeriesLabel{Show: &show, ValueFormatter: number, FontStyle: style}
	if err := p.BarChart(o); err != nil {
		return nil, err
	}
	return p.Bytes()
}

const (
	titleHeight = 24
	titleLarger = 2 // points
)

func titleRoom(title string) int {
	if title == "" {
		return 0
	}
	return titleHeight
}

func (l Look) title(text string) charts.TitleOption {
	return charts.TitleOption{Text: text, FontStyle: charts.FontStyle{FontSize: l.fontSize() + titleLarger, FontColor: l.palette().ink}}
}

// shorten cuts names that are too long for their place.
func shorten(names []string, most int) []string {
	most = max(most, 4)
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = n
		if r := []rune(n); len(r) > most {
			all[i] = string(r[:most-1]) + "…"
		}
	}
	return all
}
