package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a link's capacity in bytes/s, written in bits as links are sold:
// "100Mbit", "2.5Gbit". Empty is unknown, 0.
type Rate struct{ BytesPerSecond float64 }

// rateUnits are bits/s by unit; tc(8) names them the same way.
var rateUnits = []struct {
	unit string
	bits float64
}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}}

const minRate, maxRate = 64e3 / 8, 1e12 / 8

// UnmarshalText reads a rate; bytes and binary prefixes are refused, because
// an eightfold mistake here is the difference between safe and cut off.
func (r *Rate) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "" {
		*r = Rate{}
		return nil
	}
	low := strings.TrimSuffix(strings.ToLower(s), "/s")
	for _, u := range rateUnits {
		num, ok := strings.CutSuffix(low, u.unit)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			break
		}
		if bytes := v * u.bits / 8; bytes >= minRate && bytes <= maxRate {
			*r = Rate{bytes}
			return nil
		}
		return fmt.Errorf(`%q is out of range: a capacity is between "64kbit" and "1000Gbit"`, s)
	}
	return fmt.Errorf(`%q is not a rate: write bits per second with a unit, as "100Mbit" or "2.5Gbit"`, s)
}
