package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
)

func newVolume(o *options) *cobra.Command {
	c := &cobra.Command{Use: "volume", Short: "the file systems of the colony"}
	c.AddCommand(&cobra.Command{
		Use: "ls", Short: "list the volumes", Args: cobra.NoArgs,
		Example: "  honeyant volume ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var volumes []admin.VolumeStatus
			if err := o.client().Call(cmd.Context(), "volume.ls", nil, &volumes); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, volumes)
			}
			rows := [][]string{}
			for _, v := range volumes {
				rows = append(rows, []string{v.Name, fmt.Sprint(v.Inodes), bytesText(int64(v.Bytes)), bytesText(int64(v.InlineBytes)), fmt.Sprint(v.Chunks), bytesText(int64(v.ChunkBytes))})
			}
			command.PrintTable(os.Stdout, []string{"volume", "inodes", "data", "of it inline", "chunks", "in chunks"}, rows)
			return nil
		},
	})
	return c
}
