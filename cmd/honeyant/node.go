package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

func newNode(o *options) *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "the machines of the colony"}
	c.AddCommand(nodeList(o), nodeShow(o), nodeDrain(o), nodeRemove(o), nodeLabel(o), nodePromote(o))
	return c
}

func nodeList(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "list the machines", Args: cobra.NoArgs,
		Example: "  honeyant node ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s admin.Status
			if err := o.client().Call(cmd.Context(), "status", nil, &s); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, s.Nodes)
			}
			showNodes(os.Stdout, s.Nodes)
			return nil
		},
	}
}

func nodeShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "show NODE", Short: "one machine and its stores", Args: cobra.ExactArgs(1),
		Example: "  honeyant node show n2",
		RunE: func(cmd *cobra.Command, args []string) error {
			var show node.ShowReply
			if err := o.client().Call(cmd.Context(), "node.show", node.Target{Node: args[0]}, &show); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, show)
			}
			showNodes(os.Stdout, []admin.NodeStatus{show.Node})
			fmt.Println()
			showStores(os.Stdout, show.Stores)
			return nil
		},
	}
}

func nodeDrain(o *options) *cobra.Command {
	var yes, undo, noWait bool
	c := &cobra.Command{
		Use: "drain NODE", Short: "empty a machine and prove it", Args: cobra.ExactArgs(1),
		Long:    "Copies every chunk that the machine holds onto others, reads the copies back, and only then drops\nthose of the machine. At the end it says whether the machine may be deleted.\nInterrupting the command does not stop the drain; --undo does.",
		Example: "  honeyant node drain n3\n  honeyant node drain n3 --undo",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !undo {
				plan := fmt.Sprintf("All chunks of %s will be copied onto the other machines, and then dropped there.", args[0])
				if err := confirm(plan, yes); err != nil {
					return err
				}
			}
			if err := o.client().Call(cmd.Context(), "node.drain", node.DrainRequest{Node: args[0], Undo: undo}, nil); err != nil {
				return err
			}
			if undo || noWait {
				return nil
			}
			return watchDrain(cmd.Context(), o, args[0])
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&undo, "undo", false, "take new data again")
	c.Flags().BoolVar(&noWait, "no-wait", false, "return at once; node show tells how far it is")
	return c
}

func watchDrain(ctx context.Context, o *options, target string) error {
	last := ""
	for {
		var p node.DrainProgress
		if err := o.client().Call(ctx, "node.drained", node.Target{Node: target}, &p); err != nil {
			return err
		}
		if line := p.String(); line != last && !o.json {
			fmt.Println(line)
			last = line
		}
		if p.Done {
			if o.json {
				return command.PrintJSON(os.Stdout, p)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no longer waiting; the drain goes on (honeyant node drain %s --undo stops it)", target)
		case <-time.After(time.Second):
		}
	}
}

func nodeRemove(o *options) *cobra.Command {
	var yes, force bool
	c := &cobra.Command{
		Use: "remove NODE", Short: "lock a machine out for ever", Args: cobra.ExactArgs(1),
		Long:    "The machine is refused by all others at once, and what it held counts as gone: it is re-created\nfrom the other copies. Drain it first; a machine that holds the last copy of something is only removed with --force.",
		Example: "  honeyant node drain n3 && honeyant node remove n3",
		RunE: func(cmd *cobra.Command, args []string) error {
			plan := fmt.Sprintf("%s will be locked out for ever. Its certificate will never be accepted again.", args[0])
			if force {
				plan += "\nWith --force: chunks whose only copy is there are LOST."
			}
			if err := confirm(plan, yes); err != nil {
				return err
			}
			return o.client().Call(cmd.Context(), "node.remove", node.RemoveRequest{Node: args[0], Force: force}, nil)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&force, "force", false, "even if it holds the last copy of something")
	return c
}

func nodeLabel(o *options) *cobra.Command {
	var name, zone string
	c := &cobra.Command{
		Use: "label NODE", Short: "change a machine's name or zone", Args: cobra.ExactArgs(1),
		Example: "  honeyant node label n2 --name attic --zone home",
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" && zone == "" {
				return command.Usagef("say --name or --zone")
			}
			return o.client().Call(cmd.Context(), "node.label", node.LabelRequest{Node: args[0], Name: name, Zone: zone}, nil)
		},
	}
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().StringVar(&zone, "zone", "", "new zone")
	return c
}

// stopFirst says what to do about a daemon that uses what a command needs.
func stopFirst(err error) error {
	if errors.Is(err, honeyant.Conflict) {
		return fmt.Errorf("%w; stop the daemon of this machine first: systemctl stop honeyant", err)
	}
	return err
}

func nodePromote(o *options) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "promote", Short: "make this machine the only metadata voter after the others are lost", Args: cobra.NoArgs,
		Long:    "For a colony whose quorum is gone for good, above all the second of two machines. Run it on the\nsurvivor with its daemon stopped. The lost machines must not come back with their old files: they are refused.",
		Example: "  systemctl stop honeyant\n  honeyant node promote\n  systemctl start honeyant",
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts, err := node.InspectPromotion(o.dir, node.Parts{})
			if err != nil {
				return stopFirst(err)
			}
			if err := confirm(facts.Plan(), yes); err != nil {
				return err
			}
			return node.Promote(o.dir, node.Parts{})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
