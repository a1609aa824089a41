package daemon

import (
	"os"
	"strconv"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// baseVariable tells a successor above which number its requests begin, so that a number means one request
// as long as people remember it.
const baseVariable = "HONEYANT_GATEWAY_LEDGER_BASE"

// idGap leaves the predecessor numbers for what it still begins while it drains.
const idGap = 1 << 20

// Base is the highest number that the predecessor may give, 0 without one. It takes the variable out of the environment.
func Base() ledger.ID {
	n, err := strconv.ParseUint(os.Getenv(baseVariable), 10, 64)
	if err != nil {
		n = 0
	}
	_ = os.Unsetenv(baseVariable) // the name is valid, so it can not fail
	return ledger.ID(n)
}
