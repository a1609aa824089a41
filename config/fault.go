package config

import (
	"fmt"
	"strings"

	"github.com/honeyant/honeyant"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File string
	Line int    // 0: not in the file
	Key  string // such as stores[1].path
	Text string // what is wrong and what to do
}

func (f Fault) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Text)
	return b.String()
}

// Faults is everything that is wrong with a configuration, in the order of the file. As an
// error it is wrapped into one of Kind Invalid; errors.As finds it there.
type Faults []Fault

// Error is one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// err is nil if there is no fault.
func (f Faults) err(op, object string) error {
	if len(f) == 0 {
		return nil
	}
	return honeyant.E(op, honeyant.Invalid, object, f)
}

func (f *Faults) add(key, format string, args ...any) {
	*f = append(*f, Fault{Key: key, Text: fmt.Sprintf(format, args...)})
}
