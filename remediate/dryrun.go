package remediate

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

// DryRun says what an Enforcer would do, and does nothing. It counts what it
// would have done. It is used by one goroutine.
type DryRun struct {
	Log     *slog.Logger
	Limits  int // transfers that would have been limited, each time anew
	Pauses  int // transfers that would have been paused, each time anew
	Shapers int // shapers that would have been made
	last    map[string]string
}

// Apply logs each limit that would begin, end, or change in kind. Nothing is
// in force.
func (d *DryRun) Apply(_ context.Context, want watchdog.Desired, transfers []watchdog.Transfer) watchdog.Outcome {
	next := map[string]string{}
	for _, t := range transfers {
		if what := kindsOf(permitted(&t, want.Limits[t.ID])); what != "" {
			next["transfer "+string(t.ID)] = what
		}
	}
	for k := range want.Shapers {
		next[fmt.Sprintf("link %d %v", k.Link, k.Direction)] = remedy.Shaper
	}
	if want.SmallBursts {
		next["host"] = remedy.SmallBursts
	}
	for _, target := range slices.Sorted(maps.Keys(next)) {
		if what := next[target]; d.last[target] != what {
			d.countBegun(d.last[target], what)
			verb := "would limit"
			if strings.Contains(what, remedy.Pause) {
				verb = "would pause"
			}
			d.Log.Info(verb, "target", target, "remedy", what)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(d.last)) {
		if next[target] == "" {
			d.Log.Info("would free", "target", target)
		}
	}
	d.last = next
	return watchdog.Outcome{
		Limits:  map[watchdog.TransferID]watchdog.Limit{},
		Stopped: map[watchdog.TransferID]bool{},
		Shapers: map[watchdog.ShaperKey]float64{},
	}
}

func (d *DryRun) countBegun(was, is string) {
	switch {
	case is == remedy.SmallBursts: // goes with limits, which are counted
	case is == remedy.Shaper:
		d.Shapers++
	case strings.Contains(is, remedy.Pause) && !strings.Contains(was, remedy.Pause):
		d.Pauses++
	case was == "":
		d.Limits++
	}
}

// kindsOf names the kinds of limit, without their ever-changing amounts.
func kindsOf(l watchdog.Limit) string {
	var out []string
	if l.Window > 0 {
		out = append(out, remedy.Window)
	}
	if l.Pacing > 0 {
		out = append(out, remedy.Pacing)
	}
	if l.Shape {
		out = append(out, remedy.Priority)
	}
	if l.Rate > 0 {
		out = append(out, remedy.Rate)
	}
	if l.Pause {
		out = append(out, remedy.Pause)
	}
	return strings.Join(out, "+")
}
