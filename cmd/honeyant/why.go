package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

func newWhy(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "why PATH", Short: "where a file's copies are and what is wrong with it", Args: cobra.ExactArgs(1),
		Example: "  honeyant why /srv/colony/film.mkv",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			var r admin.WhyReport
			if err := o.client().Call(cmd.Context(), "why", node.PathRequest{Path: path}, &r); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, r)
			}
			showWhy(&r)
			return nil
		},
	}
}

// whyRows is how many chunks are listed to people; --json lists all.
const whyRows = 20

func showWhy(r *admin.WhyReport) {
	fmt.Printf("%s: %s, inode %d, %s\n", r.Path, r.Type, r.Ino, bytesText(int64(r.SizeBytes)))
	for _, s := range r.Sentences {
		fmt.Println(" ", s)
	}
	rows := [][]string{}
	for i, c := range r.Chunks {
		if i == whyRows {
			break
		}
		for j, rep := range c.Replicas {
			id, size := "", ""
			if j == 0 {
				id, size = c.ID, bytesText(int64(c.Bytes))
			}
			rows = append(rows, []string{id, size, rep.Store, rep.Node, rep.State})
		}
	}
	if len(rows) > 0 {
		fmt.Println()
		command.PrintTable(os.Stdout, []string{"chunk", "size", "store", "node", "copy is"}, rows)
	}
	if len(r.Chunks) > whyRows {
		fmt.Printf("... and %d more chunks (--json lists all)\n", len(r.Chunks)-whyRows)
	}
}
