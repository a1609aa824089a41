package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

func newBackup(o *options) *cobra.Command {
	c := &cobra.Command{Use: "backup", Short: "copies of the metadata in the colony's own stores",
		Long: "Every hour (backup_every in honeyant.toml) the leading machine writes a copy of the metadata (names, attributes,\nwhere data are) into the stores of up to five machines, and reads it back. `honeyant status` shows the newest one.\nFile data are not in it: their copies are in the stores themselves."}
	c.AddCommand(backupNow(o), backupList(o), backupFind(o), backupRestore(o))
	return c
}

func backupNow(o *options) *cobra.Command {
	var req node.BackupRequest
	c := &cobra.Command{
		Use: "now", Short: "make a backup of the metadata, and read it back", Args: cobra.NoArgs,
		Example: "  honeyant backup now",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var made admin.BackupStatus
			if err := o.client().Call(cmd.Context(), "backup.make", req, &made); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, made)
			}
			fmt.Printf("Backup %d holds %d files and directories in %s, whole on %d stores, read back.\n", made.Number, made.Inodes, bytesText(made.Bytes), made.Copies)
			return nil
		},
	}
	c.Flags().BoolVar(&req.AcceptSmaller, "accept-smaller", false, "although the metadata hold much less than the newest backup")
	return c
}

func backupList(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "list the backups that are kept, newest first", Args: cobra.NoArgs,
		Example: "  honeyant backup ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []admin.BackupStatus
			if err := o.client().Call(cmd.Context(), "backup.ls", nil, &all); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, all)
			}
			rows := make([][]string, 0, len(all))
			for _, b := range all {
				rows = append(rows, []string{backupName(b.Incarnation, b.Number), b.Made.Format(time.RFC3339), strconv.FormatUint(b.Inodes, 10),
					strconv.FormatUint(b.Chunks, 10), bytesText(b.Bytes), strconv.Itoa(b.Copies)})
			}
			command.PrintTable(os.Stdout, []string{"backup", "made", "inodes", "chunks", "size", "stores"}, rows)
			return nil
		},
	}
}

// backupName tells backups apart over the lives of a colony.
func backupName(incarnation, number uint32) string { return fmt.Sprintf("%d.%d", incarnation, number) }

const storesHelp = "STORE is the directory of a store, such as /var/lib/honeyant/store, also one brought from another machine.\nThe stores of the node in --dir are searched too. The daemon that uses them must be stopped.\n"

func backupFind(o *options) *cobra.Command {
	var only bool
	c := &cobra.Command{
		Use: "find [STORE...]", Short: "find backups in stores alone, and read them", Args: cobra.ArbitraryArgs,
		Long:    "Looks through all chunks of the stores for backups of the metadata, reads each one whole and compares it with\nits checksum. Nothing but the stores is needed.\n" + storesHelp + "Exit code 1 if no whole backup is found.",
		Example: "  systemctl stop honeyant\n  honeyant backup find\n  honeyant backup find --only /mnt/rescued/store",
		RunE: func(_ *cobra.Command, args []string) error {
			s := node.Search{Dir: o.dir, Stores: args}
			if only {
				s.Dir = ""
			}
			found, err := findBackups(s)
			if err != nil {
				return err
			}
			if o.json {
				err = command.PrintJSON(os.Stdout, found)
			} else {
				showFound(found)
			}
			if err == nil && !slices.ContainsFunc(found, verified) {
				return command.Silent(command.Failed)
			}
			return err
		},
	}
	c.Flags().BoolVar(&only, "only", false, "search the named stores alone, not those of --dir")
	return c
}

// findBackups looks into stores that are there: what does not exist would become an empty one.
func findBackups(s node.Search) ([]admin.BackupFound, error) {
	for _, path := range s.Stores {
		if info, err := os.Stat(path); err != nil {
			return nil, command.Usage(err)
		} else if !info.IsDir() {
			return nil, command.Usagef("%s is no directory; name that of a store, such as DIR/store", path)
		}
	}
	found, err := node.FindBackups(s)
	if err != nil {
		return nil, stopFirst(err)
	}
	return found, nil
}

func verified(f admin.BackupFound) bool { return f.Verified }

func showFound(found []admin.BackupFound) {
	if len(found) == 0 {
		fmt.Println("No backup of the metadata is in these stores.")
		return
	}
	rows := make([][]string, 0, len(found))
	for _, f := range found {
		state := "read and good"
		switch {
		case f.Missing > 0:
			state = fmt.Sprintf("%d of %d parts missing", f.Missing, f.Parts)
		case !f.Verified:
			state = f.Fault
		}
		rows = append(rows, []string{backupName(f.Incarnation, f.Number), f.Made.Format(time.RFC3339), strconv.FormatUint(f.Inodes, 10),
			strconv.FormatUint(f.Chunks, 10), bytesText(f.Bytes), f.Cluster, state})
	}
	command.PrintTable(os.Stdout, []string{"backup", "made", "inodes", "chunks", "size", "cluster", "state"}, rows)
}

func backupRestore(o *options) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "restore [STORE...]", Short: "give this machine the metadata of the newest backup, after all voters lost theirs", Args: cobra.ArbitraryArgs,
		Long: "For a colony whose metadata are gone on all voters, or damaged. Run it on a machine of the colony with its daemon\nstopped: it takes the newest whole backup, becomes the only voter, and the others join its metadata when they start.\n" + storesHelp +
			"\nWhat was changed after the backup is lost: new files are gone, and of files that were overwritten or deleted since the old names\ncome back, without what was reclaimed meanwhile. The metadata that were here are kept beside, under names with .lost-.\nRun it on one that was a voter or learner when the backup was made: the key of the colony's authority, without which no\nnew machine can join, is in the backup sealed for these alone.",
		Example: "  systemctl stop honeyant\n  honeyant backup restore\n  systemctl start honeyant",
		RunE: func(_ *cobra.Command, args []string) error {
			s := node.Search{Dir: o.dir, Stores: args}
			found, err := findBackups(s)
			if err != nil {
				return err
			}
			newest := slices.IndexFunc(found, verified)
			if newest < 0 {
				return errors.New("no whole backup was found; `honeyant backup find` tells what is there, and STORE names further stores")
			}
			plan := fmt.Sprintf("The metadata of this machine will be those of %s: %d files and directories.\nWhat was changed since then IS LOST. This machine will be the only voter; the daemons of all others must be stopped until it runs again.",
				found[newest].Made.Format("2006-01-02 15:04 MST"), found[newest].Inodes)
			if err := confirm(plan, yes); err != nil {
				return err
			}
			done, err := node.Restore(s)
			if err != nil {
				return stopFirst(err)
			}
			if o.json {
				return command.PrintJSON(os.Stdout, done)
			}
			fmt.Printf("The metadata of backup %s are here: %d files and directories.\n%s\n", backupName(done.Incarnation, done.Number), done.Inodes, startHint(o))
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
