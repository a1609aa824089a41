package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/honeyant/honeyant/gateway/ledger"
)

// Deadlines are limits as the configuration has them: by name, `off` for none; besides
// min_rate in bytes a second, and rate_after. What is not named keeps its default.
type Deadlines struct{ ledger.Limits }

// The two settings that are no limits of their own.
const (
	minRate   = "min_rate"
	rateAfter = "rate_after"
)

// MarshalJSON writes what is set.
func (d Deadlines) MarshalJSON() ([]byte, error) {
	out := map[string]any{}
	for _, i := range ledger.LimitTable() {
		switch v := d.Get(i.Name); {
		case v == 0:
		case v < 0:
			out[string(i.Name)] = "off"
		default:
			out[string(i.Name)] = v.String()
		}
	}
	if d.MinRate != 0 {
		out[minRate] = max(d.MinRate, 0)
	}
	if d.RateAfter != 0 {
		out[rateAfter] = d.RateAfter.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Deadlines) UnmarshalJSON(b []byte) error {
	var in map[string]any
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	for name, v := range in {
		if err := d.set(name, fmt.Sprint(v)); err != nil {
			return err
		}
	}
	return d.Validate()
}

// set changes one limit from its words.
func (d *Deadlines) set(name, value string) error {
	if name == minRate {
		n, err := strconv.ParseInt(value, 10, 64)
		if value == "off" {
			n, err = 0, nil
		}
		if err != nil || n < 0 {
			return fmt.Errorf("%s %q: write bytes a second, or off", minRate, value)
		}
		if d.MinRate = n; n == 0 {
			d.MinRate = -1
		}
		return nil
	}
	var v time.Duration
	if value == "off" {
		v = ledger.Never
	} else {
		var err error
		if v, err = caddy.ParseDuration(value); err != nil || v <= 0 {
			return fmt.Errorf("%s %q: write a time such as 30s, or off", name, value)
		}
	}
	if name == rateAfter {
		if v <= 0 {
			return fmt.Errorf("%s can not be off; switch off %s", rateAfter, minRate)
		}
		d.RateAfter = v
		return nil
	}
	if !d.Set(ledger.Name(name), v) {
		return fmt.Errorf("there is no deadline %q", name)
	}
	return nil
}

// parseBlock reads the block of a wrapper: `honeyant { NAME TIME ... }`.
func (d *Deadlines) parseBlock(c *caddyfile.Dispenser) error {
	c.Next()
	for c.NextBlock(0) {
		if err := d.parse(c); err != nil {
			return err
		}
	}
	return nil
}

// parse reads the lines of a block from a Caddyfile: NAME TIME.
func (d *Deadlines) parse(c *caddyfile.Dispenser) error {
	name := c.Val()
	var value string
	if !c.AllArgs(&value) {
		return c.ArgErr()
	}
	if err := d.set(name, value); err != nil {
		return c.Err(err.Error())
	}
	if err := d.Validate(); err != nil {
		return c.Err(err.Error())
	}
	return nil
}
