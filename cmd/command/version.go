package command

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/internal/version"
)

// NewVersion is the command that prints the version of the program; called is how people call it.
func NewVersion(program, called string, asJSON *bool) *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use: "version", Short: "print the version, and what it was built from", Args: cobra.NoArgs,
		Example: "  " + called + " version\n  " + called + " version -v",
		RunE: func(*cobra.Command, []string) error {
			if *asJSON {
				return PrintJSON(os.Stdout, map[string]any{"version": version.Text(), "commit": version.Commit(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "build": version.Build()})
			}
			fmt.Printf("%s %s (%s %s/%s)\n", program, version.Text(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if verbose {
				fmt.Printf("commit %s\n%s\n", version.Commit(), strings.Join(version.Build(), "\n"))
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "the commit, how it was built, and all modules in it")
	return c
}
