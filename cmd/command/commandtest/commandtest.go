// Package commandtest checks what every command line of Honeyant owes to people.
package commandtest

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Explained fails the test for every command without a short help or, where it can be run as it is, without an example, and for
// every flag without help, unless it is hidden.
func Explained(t *testing.T, c *cobra.Command) {
	t.Helper()
	if c.Short == "" {
		t.Errorf("%s has no short help", c.CommandPath())
	}
	if c.Runnable() && !c.HasSubCommands() && c.Example == "" {
		t.Errorf("%s has no example", c.CommandPath())
	}
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Usage == "" && !f.Hidden {
			t.Errorf("%s --%s has no help", c.CommandPath(), f.Name)
		}
	})
	for _, sub := range c.Commands() {
		Explained(t, sub)
	}
}
