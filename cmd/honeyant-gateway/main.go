// Command honeyant-gateway is the HTTPS gateway: Caddy with deadlines, a ledger of all that runs, and hand-over without a
// lost request. One file per subcommand; `honeyant gateway ...` runs it from its own directory.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage or refused, 3 no gateway runs.
package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/gateway/control"
)

func main() { program().Main() }

func program() command.Program {
	return command.Program{Name: "honeyant gateway", Root: newRoot, Code: func(err error) int {
		if errors.Is(err, control.ErrNone) {
			return command.Unreachable
		}
		return command.Failed
	}}
}

// options are the flags that all commands share.
type options struct {
	control string
	json    bool
}

func (o *options) client() *control.Client { return &control.Client{Dir: control.Dir(o.control)} }

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "honeyant-gateway",
		Short: "HTTPS that never hangs",
		Long:  "The HTTPS gateway of Honeyant: Caddy with a deadline for every wait, a list of all that runs, and\nreload, restart and upgrade without a lost request. `honeyant gateway ...` is the same program.\n\nStart with: honeyant gateway run --site example.org --root /www\n       or:  honeyant gateway run --site example.org --to http://127.0.0.1:8080",
	}
	if os.Getenv("HONEYANT_GATEWAY_AS") != "" { // as the user called it
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: os.Getenv("HONEYANT_GATEWAY_AS")}
	}
	root.PersistentFlags().StringVar(&o.control, "control", string(control.DefaultDir(os.Getenv)), "directory of the control sockets ($HONEYANT_GATEWAY_DIR)")
	root.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	root.AddCommand(
		newRun(o), newReload(o), newUpgrade(o), newStop(o), newStatus(o),
		newPs(o), newWhy(o), newKill(o), newStack(o), newStats(o), newMetrics(o), newDiff(o), newSelftest(o),
		command.NewVersion("honeyant-gateway", "honeyant gateway", &o.json),
	)
	root.SetHelpCommand(newHelp(o))
	return root
}
