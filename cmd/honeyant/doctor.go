package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

func newDoctor(o *options) *cobra.Command {
	pkg := ""
	c := &cobra.Command{
		Use: "doctor", Short: "what is missing on this machine, with the package line", Args: cobra.NoArgs,
		Long:    "Looks at FUSE, the port, the clock, disk, memory and the other machines. Exit code 1 if something\nkeeps the colony from working here.",
		Example: "  honeyant doctor\n  honeyant doctor --pkg cc",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if pkg != "" {
				return printPackage(o, pkg)
			}
			findings := node.Doctor(cmd.Context(), o.dir)
			bad := false
			for _, f := range findings {
				bad = bad || f.Level == node.Bad
			}
			if o.json {
				if err := command.PrintJSON(os.Stdout, findings); err != nil {
					return err
				}
			} else {
				for _, f := range findings {
					fmt.Printf("%-5s %s: %s\n", f.Level, f.Subject, f.Text)
					if f.Mend != "" {
						fmt.Printf("      %s\n", f.Mend)
					}
				}
			}
			if bad {
				return command.Silent(command.Failed)
			}
			return nil
		},
	}
	c.Flags().StringVar(&pkg, "pkg", "", "only print the command that installs this program here, such as cc, go or sshd")
	return c
}

// printPackage prints how a program is installed on this distribution.
func printPackage(o *options, pkg string) error {
	line, err := node.PackageLine(pkg)
	if err != nil {
		return err
	}
	if o.json {
		return command.PrintJSON(os.Stdout, map[string]string{"program": pkg, "install": line})
	}
	fmt.Println(line)
	return nil
}
