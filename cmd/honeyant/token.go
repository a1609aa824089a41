package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
)

func newToken(o *options) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "what lets machines join"}
	c.AddCommand(tokenCreate(o), tokenList(o), tokenRevoke(o))
	return c
}

func tokenCreate(o *options) *cobra.Command {
	var ttl time.Duration
	var uses uint32
	c := &cobra.Command{
		Use: "create", Short: "print a join command", Args: cobra.NoArgs,
		Example: "  honeyant token create\n  honeyant token create --ttl 1h --uses 1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl <= 0 {
				return command.Usagef("--ttl must be more than 0")
			}
			var join admin.Join
			if err := o.client().Call(cmd.Context(), "token.create", admin.TokenRequest{TTLSeconds: ttl.Seconds(), Uses: uses}, &join); err != nil {
				return err
			}
			return printJoin(o, join)
		},
	}
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it may be used")
	c.Flags().Uint32Var(&uses, "uses", 0, "how many machines may join with it (0: any number)")
	return c
}

// printJoin prints the one line that the next machine needs.
func printJoin(o *options, join admin.Join) error {
	if o.json {
		return command.PrintJSON(os.Stdout, map[string]admin.Join{"join": join})
	}
	fmt.Printf("honeyant join %s --token %s\n", join.Address, join.Token)
	return nil
}

func tokenList(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "list the tokens", Args: cobra.NoArgs,
		Example: "  honeyant token ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var tokens []admin.TokenStatus
			if err := o.client().Call(cmd.Context(), "token.ls", nil, &tokens); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, tokens)
			}
			rows := [][]string{}
			for _, t := range tokens {
				left, expires := fmt.Sprint(t.UsesLeft), t.Expires.Local().Format(time.DateTime)
				if t.Unlimited {
					left = "any"
				}
				if t.Expired {
					expires = "expired"
				}
				rows = append(rows, []string{t.Name, expires, left})
			}
			command.PrintTable(os.Stdout, []string{"token", "expires", "uses left"}, rows)
			return nil
		},
	}
}

func tokenRevoke(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN", Short: "make a token useless", Args: cobra.ExactArgs(1),
		Long:    "TOKEN is the whole token or its first characters as `token ls` shows them. Machines that\njoined with it stay.",
		Example: "  honeyant token revoke hat1-abcd",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.client().Call(cmd.Context(), "token.revoke", map[string]string{"token": args[0]}, nil)
		},
	}
}
