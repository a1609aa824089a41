package report

import (
	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"

	"github.com/go-analyze/charts"
)

// Look is how a chart is drawn.
type Look struct {
	Dark  bool
	PNG   bool // else SVG
	Width int  // pixels; the height follows
	Title bool // with the title in the picture, for pasting it elsewhere
}

// The widths of pictures in the page: half of a desk's column, and a phone of 360 pixels.
const (
	WideWidth   = 560
	NarrowWidth = 330
)

func (l Look) narrow() bool { return l.Width < 450 }

// palette are the colours of a look. Series colours differ in hue and lightness, so that they
// can be told apart without seeing hues.
type palette struct {
	paper, ink, muted, grid drawing.Color
	series                  []drawing.Color
}

func (l Look) palette() palette {
	hex := func(names ...string) (all []drawing.Color) {
		for _, n := range names {
			all = append(all, drawing.ColorFromHex(n))
		}
		return all
	}
	if l.Dark {
		base := hex("171b22", "e8ebf0", "a3adba", "303845")
		return palette{base[0], base[1], base[2], base[3], hex("6ea8fe", "f5a15f", "3fc7b0", "d291e0", "e0c04a", "ff8fa3", "a9b4c2", "8be28b")}
	}
	base := hex("ffffff", "1b212c", "545d6b", "e2e6eb")
	return palette{base[0], base[1], base[2], base[3], hex("1f5fc4", "c2570c", "0a7a6b", "8f2f9c", "806400", "b3123a", "475569", "2f7d1f")}
}

func (p palette) of(i int) drawing.Color { return p.series[i%len(p.series)] }

// theme is the palette as the chart library wants it.
func (l Look) theme() charts.ColorPalette {
	p := l.palette()
	return charts.MakeTheme(charts.ThemeOption{IsDarkMode: l.Dark, AxisStrokeColor: p.grid, AxisSplitLineColor: p.grid, BackgroundColor: p.paper,
		TextColor: p.ink, SeriesColors: p.series})
}

// heatTheme has one base colour, light enough on light paper and dark enough on dark that the
// figures in the cells can be read.
func (l Look) heatTheme(lowGood bool) charts.ColorPalette {
	p := l.palette()
	base := map[bool]map[bool]string{false: {false: "7fb0f5", true: "f7b37a"}, true: {false: "2b5ca8", true: "8a4a12"}}[l.Dark][lowGood]
	return charts.MakeTheme(charts.ThemeOption{IsDarkMode: l.Dark, AxisStrokeColor: p.grid, AxisSplitLineColor: p.grid, BackgroundColor: p.paper,
		TextColor: p.ink, SeriesColors: []charts.Color{drawing.ColorFromHex(base)}})
}

func (l Look) fontSize() float64 {
	if l.narrow() {
		return 8.5
	}
	return 9.5
}

func (l Look) font(c drawing.Color) chartdraw.FontStyle {
	return chartdraw.FontStyle{FontSize: l.fontSize(), FontColor: c, Font: charts.GetDefaultFont()}
}

func (l Look) painter(height int) *charts.Painter {
	format := charts.ChartOutputSVG
	if l.PNG {
		format = charts.ChartOutputPNG
	}
	return charts.NewPainter(charts.PainterOptions{OutputFormat: format, Width: l.Width, Height: height, Theme: l.theme()})
}
