// Command honeyant turns a handful of machines into one colony that shares its disks as
// one POSIX file system. One file per subcommand.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage or refused, 3 nobody answered.
package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
)

func main() { program().Main() }

func program() command.Program {
	return command.Program{Name: "honeyant", Root: newRoot, Code: exitCode}
}

// exitCode follows the kind of an error.
func exitCode(err error) int {
	switch {
	case errors.Is(err, honeyant.Unavailable):
		return command.Unreachable
	case errors.Is(err, honeyant.Invalid), errors.Is(err, honeyant.Conflict), errors.Is(err, honeyant.Exist),
		errors.Is(err, honeyant.Permission), errors.Is(err, honeyant.NotPermitted), errors.Is(err, honeyant.Unsupported):
		return command.Refused
	}
	return command.Failed
}

// options are the flags that all commands share.
type options struct {
	dir  string
	json bool
}

func (o *options) client() *admin.Client { return admin.NewClient(o.dir) }

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "honeyant",
		Short: "a handful of machines, one shared disk",
		Long:  "Honeyant turns a handful of machines into one colony: every machine shares its disk with\nevery other, all of them mount one POSIX file system, and nothing is lost when one dies.\n\nStart with: honeyant demo (everything on this machine), or honeyant init (the real thing).",
	}
	dir := os.Getenv("HONEYANT_DIR")
	if dir == "" {
		dir = "/var/lib/honeyant"
	}
	root.PersistentFlags().StringVar(&o.dir, "dir", dir, "directory of this node ($HONEYANT_DIR)")
	root.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	bench := newBench(o)
	bench.AddCommand(newBenchReport(o), newBenchCompare(o), newBenchHistory(o))
	root.AddCommand(
		newDemo(o), newInit(o), newJoin(o), newServe(o), newMount(o), newUmount(o), newStatus(o),
		newNode(o), newStore(o), newVolume(o), newToken(o), newPolicy(o), newWhy(o), newWorker(o),
		bench, newPrice(o), newPlan(o), newFsck(o), newScrub(o), newBackup(o), newCp(o), newDoctor(o), newGateway(o), command.NewVersion("honeyant", "honeyant", &o.json),
	)
	return root
}
