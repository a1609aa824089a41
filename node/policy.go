package node

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/honeyant/honeyant"
)

// maxCopies is the most copies a policy may ask for.
const maxCopies = 8

// ParsePolicy reads KEY=VALUE words: copies, min_copies, placement. Errors: Invalid, naming
// every fault at once.
func ParsePolicy(words []string) (honeyant.Policy, error) {
	var p honeyant.Policy
	var faults []string
	seen := map[string]bool{}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			faults = append(faults, fmt.Sprintf("%q: want KEY=VALUE", w))
			continue
		}
		if seen[key] {
			faults = append(faults, key+": given twice")
		}
		seen[key] = true
		var err error
		switch key {
		case "copies":
			p.Copies, err = parseCopies(value)
		case "min_copies":
			p.MinCopies, err = parseCopies(value)
		case "placement":
			err = parsePlacement(value, &p)
		default:
			err = fmt.Errorf("unknown; known are copies, min_copies, placement")
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", key, err))
		}
	}
	if p.Copies > 0 && p.MinCopies > p.Copies {
		faults = append(faults, fmt.Sprintf("min_copies: %d is more than copies=%d", p.MinCopies, p.Copies))
	}
	if len(faults) > 0 {
		return p, honeyant.E("node.ParsePolicy", honeyant.Invalid, "", fmt.Errorf("%s", strings.Join(faults, "; ")))
	}
	return p, nil
}

func parseCopies(value string) (uint8, error) {
	if value == "auto" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil || n < 1 || n > maxCopies {
		return 0, fmt.Errorf("%q: want auto or 1 to %d", value, maxCopies)
	}
	return uint8(n), nil
}

func parsePlacement(value string, p *honeyant.Policy) error {
	kind, list, pinned := strings.Cut(value, ":")
	switch {
	case kind == "spread" && !pinned:
		p.Placement = honeyant.PlaceSpread
	case kind == "local" && !pinned:
		p.Placement = honeyant.PlaceLocal
	case kind == "pinned" && list != "":
		p.Placement = honeyant.PlacePinned
		for _, s := range strings.Split(list, ",") {
			id, err := honeyant.ParseStoreID(s)
			if err != nil {
				return fmt.Errorf("%q is no store; `honeyant store ls` lists them", s)
			}
			p.Pinned = append(p.Pinned, id)
		}
	default:
		return fmt.Errorf("%q: want spread, local, or pinned:s1,s2", value)
	}
	return nil
}
