package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/node"
)

// placeFlags are what init and join ask about this machine.
type placeFlags struct {
	name, listen, advertise, zone, capacity, memory string
}

func (p *placeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.name, "name", "", "name of this machine (default: its host name)")
	f.StringVar(&p.listen, "listen", "", "address to listen on (default 0.0.0.0:7268)")
	f.StringVar(&p.advertise, "advertise", "", "address at which the others reach this machine (default: found out)")
	f.StringVar(&p.zone, "zone", "", "zone of this machine: copies go to different zones first")
	f.StringVar(&p.capacity, "capacity", "", "how much of the disk to share, such as 20GiB (default: all but a reserve; 0: only mount)")
	f.StringVar(&p.memory, "memory", "", "memory cap, such as 96MiB (default: 20 % of RAM, at least 96 MiB)")
}

func (p *placeFlags) place(dir string) (node.Place, error) {
	place := node.Place{Dir: dir, Name: p.name, Listen: p.listen, Advertise: p.advertise, Zone: p.zone}
	for _, s := range []struct {
		flag, text string
		to         *int64
	}{{"--capacity", p.capacity, &place.Capacity}, {"--memory", p.memory, &place.Memory}} {
		if s.text == "" {
			continue
		}
		size, err := config.ParseSize(s.text)
		if err != nil {
			return place, command.Usagef("%s: %v", s.flag, err)
		}
		*s.to = size
	}
	place.NoStore = p.capacity != "" && place.Capacity == 0
	return place, nil
}

func newInit(o *options) *cobra.Command {
	var flags placeFlags
	c := &cobra.Command{
		Use: "init", Short: "begin a colony with this machine", Args: cobra.NoArgs,
		Long:    "Makes the colony's certificate authority and its first node in --dir, and prints the one line\nwith which the next machine joins (within a day; `honeyant token create` makes another).",
		Example: "  honeyant init --capacity 20GiB\n  honeyant serve        # or: systemctl enable --now honeyant",
		RunE: func(cmd *cobra.Command, _ []string) error {
			place, err := flags.place(o.dir)
			if err != nil {
				return err
			}
			join, err := node.Init(cmd.Context(), place)
			if err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, map[string]admin.Join{"join": join})
			}
			fmt.Fprintf(os.Stderr, "A colony of one is ready in %s.\n%s\nThen, on the next machine:\n", o.dir, startHint(o))
			return printJoin(o, join)
		},
	}
	flags.add(c)
	return c
}

func newJoin(o *options) *cobra.Command {
	var flags placeFlags
	var token string
	c := &cobra.Command{
		Use: "join HOST:PORT", Short: "add this machine to a colony", Args: cobra.ExactArgs(1),
		Long:    "Asks a machine of the colony for a certificate. The token proves both sides: it lets this machine in,\nand it pins the colony's certificate authority, so that nobody in between can pose as it.",
		Example: "  honeyant join 10.0.0.1:7268 --token hat1-...\n  honeyant serve        # or: systemctl enable --now honeyant",
		RunE: func(cmd *cobra.Command, args []string) error {
			if token == "" {
				return command.Usagef("say --token; `honeyant token create` on a machine of the colony prints one")
			}
			place, err := flags.place(o.dir)
			if err != nil {
				return err
			}
			joined, err := node.Join(cmd.Context(), place, admin.Join{Address: args[0], Token: token})
			if err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, joined)
			}
			fmt.Printf("This machine is %s of the colony now.\n%s\n", joined.Node, startHint(o))
			return nil
		},
	}
	c.Flags().StringVar(&token, "token", "", "token from the colony")
	flags.add(c)
	return c
}

func startHint(o *options) string {
	if _, err := os.Stat("/etc/systemd/system/honeyant.service"); err == nil && o.dir == "/var/lib/honeyant" {
		return "Start it: systemctl enable --now honeyant"
	}
	return "Start it: honeyant serve --dir " + o.dir
}
