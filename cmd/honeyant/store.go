package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
)

func newStore(o *options) *cobra.Command {
	c := &cobra.Command{Use: "store", Short: "the places that hold chunks"}
	c.AddCommand(&cobra.Command{
		Use: "ls", Short: "list the stores", Args: cobra.NoArgs,
		Example: "  honeyant store ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var stores []admin.StoreStatus
			if err := o.client().Call(cmd.Context(), "store.ls", nil, &stores); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, stores)
			}
			showStores(os.Stdout, stores)
			return nil
		},
	})
	return c
}

func showStores(w io.Writer, stores []admin.StoreStatus) {
	rows := make([][]string, 0, len(stores))
	for _, s := range stores {
		rows = append(rows, []string{s.ID, s.Node, s.State, bytesText(s.UsedBytes), bytesText(s.AvailableBytes), bytesText(s.CapacityBytes)})
	}
	command.PrintTable(w, []string{"store", "node", "state", "used", "available", "capacity"}, rows)
}
