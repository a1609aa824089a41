// Package code is the list of the stable codes that the gateway's log messages carry, each
// with what it means and what to do: `honeyant gateway help CODE` prints it.
//
// A code is for ever: its meaning never changes, and a code that is no longer logged stays in
// the list. The first digit tells the part: 1 the client's side, 2 the origin's side, 3 what is
// sent (types, headers, paths), 4 configuration, 5 the colony's files, 6 the life of the
// process, 7 control and self-test. Standard library only.
package code

import (
	"slices"
	"strings"
)

// ID is a stable code such as GW2104.
type ID string

// Entry explains one code.
type Entry struct {
	ID      ID     `json:"code"`
	Level   string `json:"level"`   // debug, info, warn, error: how it is logged
	Meaning string `json:"meaning"` // one sentence: what happened
	Do      string `json:"do"`      // one sentence: what to look at, which setting
	Source  string `json:"source"`  // the package that logs it
}

// All answers every code, in order.
func All() []Entry {
	var all []Entry
	for _, part := range [][]Entry{clientCodes(), originCodes(), contentCodes(), configCodes(), colonyCodes(), lifeCodes(), controlCodes()} {
		all = append(all, part...)
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

// Find answers the entry of id, which may be in lower case.
func Find(id string) (Entry, bool) {
	for _, e := range All() {
		if strings.EqualFold(string(e.ID), id) {
			return e, true
		}
	}
	return Entry{}, false
}
