package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/honeyant/honeyant"
)

// Size is a number of bytes.
type Size int64

// units of sizes: with an i or alone in powers of 1024, with a B alone in powers of 1000.
var units = [...]struct {
	name  string
	bytes int64
}{
	{"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
	{"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3},
	{"t", 1 << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"b", 1},
}

// ParseSize reads "20GiB", "500MB", "1.5 GiB", "96M" (MiB) or a plain number of bytes.
// Errors: Invalid.
func ParseSize(s string) (int64, error) {
	const op = "config.ParseSize"
	text := strings.ToLower(strings.TrimSpace(s))
	scale := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, scale = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/scale {
		return n * scale, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.ContainsAny(text, "xpein_") || !(f >= 0) {
		return 0, honeyant.E(op, honeyant.Invalid, s, errors.New(`say a size such as "20GiB", "500MB" or a number of bytes`))
	}
	if f *= float64(scale); f >= math.MaxInt64 {
		return 0, honeyant.E(op, honeyant.Invalid, s, errors.New("the size is too large"))
	}
	return int64(f), nil
}

// String is the size in the largest unit that needs no fraction.
func (s Size) String() string {
	for _, u := range units[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			name := strings.ToUpper(u.name[:1]) + "iB"
			return strconv.FormatInt(int64(s)/u.bytes, 10) + name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseDuration reads "10m", "1h30m", "2d" (24 h each). Errors: Invalid.
func ParseDuration(s string) (time.Duration, error) {
	const op = "config.ParseDuration"
	text := strings.ToLower(strings.TrimSpace(s))
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, honeyant.E(op, honeyant.Invalid, s, errors.New(`say a time such as "2d"`))
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, honeyant.E(op, honeyant.Invalid, s, errors.New(`say a time with its unit, such as "10s", "5m" or "2d"`))
	}
	return d, nil
}

// durationText is the shortest way to say d.
func durationText(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
