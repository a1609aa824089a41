package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/cmd/command"
	"github.com/honeyant/honeyant/node"
)

func newPolicy(o *options) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "how the data of a directory tree are kept"}
	c.AddCommand(policyGet(o), policySet(o), policyRemove(o))
	return c
}

func policyGet(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "get PATH", Short: "the policy that holds at a path", Args: cobra.ExactArgs(1),
		Example: "  honeyant policy get /srv/colony/photos",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			var p admin.PolicyStatus
			if err := o.client().Call(cmd.Context(), "policy.get", node.PathRequest{Path: path}, &p); err != nil {
				return err
			}
			if o.json {
				return command.PrintJSON(os.Stdout, p)
			}
			auto := ""
			if p.Auto {
				auto = " (auto)"
			}
			placement := p.Placement
			if len(p.Stores) > 0 {
				placement += ":" + strings.Join(p.Stores, ",")
			}
			fmt.Printf("copies=%d%s min_copies=%d placement=%s, set at %s\n", p.Copies, auto, p.MinCopies, placement, p.From)
			return nil
		},
	}
}

func policySet(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "set PATH KEY=VALUE...", Short: "change it for a directory tree", Args: cobra.MinimumNArgs(2),
		Long:    "Keys: copies=auto|1..8, min_copies=auto|1..8, placement=spread|local|pinned:STORE,STORE (the honeypot).\nWhat is written from now on follows it at once; what is there already is moved in the background (see status).",
		Example: "  honeyant policy set /srv/colony/photos copies=3\n  honeyant policy set /srv/colony placement=pinned:s1,s2",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			p, err := node.ParsePolicy(args[1:])
			if err != nil {
				return err
			}
			return o.client().Call(cmd.Context(), "policy.set", node.PolicyRequest{Path: path, Policy: p}, nil)
		},
	}
}

func policyRemove(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "rm PATH", Short: "let the parent's policy hold again", Args: cobra.ExactArgs(1),
		Example: "  honeyant policy rm /srv/colony/photos",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return o.client().Call(cmd.Context(), "policy.set", node.PolicyRequest{Path: path, Remove: true, Policy: honeyant.Policy{}}, nil)
		},
	}
}
