package command

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/internal/version"
)

// NewVersion is the command that prints the version of the program; called is how people call it.
func NewVersion(program, called string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Example: "  " + called + " version",
		RunE: func(*cobra.Command, []string) error {
			if *asJSON {
				return PrintJSON(os.Stdout, map[string]string{"version": version.Text(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			fmt.Printf("%s %s (%s %s/%s)\n", program, version.Text(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
