package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/code"
	"github.com/honeyant/honeyant/gateway/manual"
)

// newHelp replaces cobra's: besides commands it knows pages, codes and words.
func newHelp(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND | PAGE | CODE | WORDS]", Short: "the manual: a command, a page, a log code, or what is found for words (English, 日本語)",
		Long:    "Without an argument lists commands and pages. Needs no network and no running gateway.",
		Example: "  honeyant gateway help deadlines\n  honeyant gateway help GW2104\n  honeyant gateway help 固まる\n  honeyant gateway help 'binary shown as text'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return showPages(o, cmd)
			}
			if found, rest, err := cmd.Root().Find(args); err == nil && found != cmd.Root() && len(rest) == 0 {
				return found.Help()
			}
			words := strings.Join(args, " ")
			if e, ok := code.Find(words); ok {
				if o.json {
					return command.PrintJSON(os.Stdout, e)
				}
				fmt.Printf("%s (%s)\n%s\n%s\nLogged by %s.\n", e.ID, e.Level, e.Meaning, e.Do, e.Source)
				return nil
			}
			p, ok, err := manual.Find(words)
			if err != nil {
				return err
			}
			if ok {
				return showPage(o, p)
			}
			return showHits(o, words)
		},
	}
}

func showPages(o *options, cmd *cobra.Command) error {
	pages, err := manual.Pages()
	if err != nil {
		return err
	}
	if o.json {
		return command.PrintJSON(os.Stdout, pages)
	}
	if err := cmd.Root().Help(); err != nil {
		return err
	}
	fmt.Println("\nPages of the manual (help PAGE):")
	for _, p := range pages {
		fmt.Printf("  %-13s %s\n", p.Name, p.Title)
	}
	return nil
}

func showPage(o *options, p manual.Page) error {
	if o.json {
		return command.PrintJSON(os.Stdout, p)
	}
	fmt.Printf("%s\n%s\n\n%s\n", p.Title, strings.Repeat("=", len(p.Title)), p.Text)
	return nil
}

func showHits(o *options, words string) error {
	const most = 6
	hits, err := manual.Search(words)
	if err != nil {
		return err
	}
	hits = hits[:min(most, len(hits))]
	if o.json {
		return command.PrintJSON(os.Stdout, hits)
	}
	if len(hits) == 0 {
		fmt.Fprintf(os.Stderr, "Nothing is found for %q; honeyant gateway help lists all pages.\n", words)
		return command.Silent(command.Failed)
	}
	for _, h := range hits {
		fmt.Printf("%-13s %s\n", h.Page.Name, h.Page.Title)
		if h.Line != "" {
			fmt.Printf("              %s\n", h.Line)
		}
	}
	fmt.Printf("\nhoneyant gateway help %s shows the first.\n", hits[0].Page.Name)
	return nil
}
