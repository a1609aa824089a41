package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"
)

// colonyOptions choose nodes and pairs of the colony.
type colonyOptions struct {
	allPairs, allNodes bool
	to                 []string
}

func (c *colonyOptions) flags(f *pflag.FlagSet) {}

func (c *colonyOptions) wanted() bool { return c.allPairs || c.allNodes || len(c.to) > 0 }

func (b *benchOptions) startColony(ctx context.Context) error { return errors.New("not yet") }
