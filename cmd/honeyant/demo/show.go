package demo

import (
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Show tells the story: plain lines, and moving bars on a terminal.
type Show struct {
	w        io.Writer
	terminal bool
	step     int
}

// NewShow writes to w.
func NewShow(w io.Writer, terminal bool) *Show { return &Show{w: w, terminal: terminal} }

// Say prints a line.
func (s *Show) Say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

// Step begins a numbered act.
func (s *Show) Step(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.w, "\n%d. %s\n", s.step, fmt.Sprintf(format, args...))
}

// Note is something said within an act.
func (s *Show) Note(format string, args ...any) {
	fmt.Fprintf(s.w, "   %s\n", fmt.Sprintf(format, args...))
}

// Done ends an act with what came out.
func (s *Show) Done(format string, args ...any) {
	fmt.Fprintf(s.w, "   -> %s\n", fmt.Sprintf(format, args...))
}

// Bar counts through total steps.
func (s *Show) Bar(total int) *Bar {
	if !s.terminal {
		return &Bar{}
	}
	p := mpb.New(mpb.WithOutput(s.w), mpb.WithWidth(60))
	return &Bar{progress: p, bar: p.AddBar(int64(total), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("   "), decor.CountersNoUnit("%d / %d files ")),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))}
}

// Bar is a progress bar, or nothing where there is no terminal.
type Bar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
}

// Add moves it.
func (b *Bar) Add(n int) {
	if b.bar != nil {
		b.bar.IncrBy(n)
	}
}

// End takes it away.
func (b *Bar) End() {
	if b.bar != nil {
		b.bar.Abort(true)
		b.progress.Wait()
	}
}
