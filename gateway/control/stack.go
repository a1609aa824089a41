package control

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strings"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// Stack dumps what the goroutines of this process do: all of them with everything if id is 0, otherwise those that work
// for that request. It stops the process for well under a millisecond for each thousand goroutines.
func Stack(id ledger.ID) (string, error) {
	var all bytes.Buffer
	if id == 0 {
		if err := pprof.Lookup("goroutine").WriteTo(&all, 2); err != nil {
			return "", err
		}
		return all.String(), nil
	}
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return "", err
	}
	found := chooseStacks(all.String(), id)
	if found == "" {
		return "", fmt.Errorf("no goroutine works for request %s; it may have ended, or waits in the kernel only (see: honeyant gateway why %s)", id, id)
	}
	return found, nil
}

// addresses are what the profile says before the function's name: "#	0x4a5b6c	".
var addresses = regexp.MustCompile(`(?m)^#\t0x[0-9a-f]+\t`)

// chooseStacks takes the blocks of a profile in text form that have the request's label. A block is
// "N @ addresses", a line "# labels: {...}" and a line for each call.
func chooseStacks(profile string, id ledger.ID) string {
	label := fmt.Sprintf("%q:%q", ledger.StackLabel, id.String())
	var out strings.Builder
	for block := range strings.SplitSeq(profile, "\n\n") {
		lines := strings.SplitN(block, "\n", 3)
		if len(lines) < 3 || !strings.HasPrefix(lines[1], "# labels:") || !strings.Contains(lines[1], label) {
			continue
		}
		count, _, _ := strings.Cut(lines[0], " @")
		fmt.Fprintf(&out, "%s goroutine(s):\n%s\n\n", count, addresses.ReplaceAllString(lines[2], "  "))
	}
	return out.String()
}
