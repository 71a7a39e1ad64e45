package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"lifeline/configs"
	"lifeline/remediate"
	"lifeline/remediate/remedy"
	"lifeline/remediate/trial"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
)

// Without a guard that outlives the daemon nothing is paused or shaped, and where
// pausing was seen to fail it is not tried.
func TestEnforcerSettings(t *testing.T) {
	can := func(names ...string) (cs []watchdog.Capability) {
		for _, n := range names {
			cs = append(cs, watchdog.Capability{Name: n, Available: true})
		}
		return cs
	}
	cfg := configs.Default()
	budget := remediate.Budget{PausesPerHour: 30, MaxHold: 15 * time.Minute}
	inContainer := errors.New("in a container")
	for _, c := range []struct {
		what         string
		trials       trial.Result
		capabilities []watchdog.Capability
		unguarded    error
		want         remediate.Settings
	}{
		{"everything", trial.Result{FullClamp: true, HoldBuffer: true}, can(remedy.Pause, remedy.SmallBursts), nil,
			remediate.Settings{Budget: budget, FullClamp: true, HoldBuffer: true, Bursts: true}},
		{"no pause", trial.Result{}, can(remedy.SmallBursts), nil,
			remediate.Settings{Budget: budget, Bursts: true, NoPause: errNoPause}},
		{"no guard", trial.Result{}, can(remedy.Pause), inContainer,
			remediate.Settings{Budget: budget, NoPause: inContainer, NoShaper: inContainer}},
		{"no guard and no pause", trial.Result{}, nil, inContainer,
			remediate.Settings{Budget: budget, NoPause: inContainer, NoShaper: inContainer}},
	} {
		if got := enforcerSettings(cfg, c.trials, c.capabilities, c.unguarded); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestTakeOverHint(t *testing.T) {
	for _, c := range []struct {
		err    error
		locked bool
		want   string
	}{
		{fmt.Errorf("run: %w", undo.ErrLocked), false, "one daemon serves a host"},
		{&os.PathError{Op: "open", Err: os.ErrPermission}, false, "run as root"},
		{errors.New("not a directory"), false, "a directory that can be written to"},
		{errors.New("disk full"), true, "without its ledger"},
	} {
		if got := takeOverHint(c.err, c.locked); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// The first transfer whose socket can be tried tells what can be done, once.
func TestReachIsTriedOnARealTransfer(t *testing.T) {
	var log bytes.Buffer
	dry := &remediate.DryRun{Log: slog.New(slog.DiscardHandler)}
	tries := 0
	a := &actuator{
		Actuator: dry, dry: dry, log: slog.New(slog.NewTextHandler(&log, nil)),
		capabilities: []watchdog.Capability{{Name: remedy.Window, Available: true}, {Name: remedy.Pause, Available: true}},
		tryReach: func(ts []watchdog.Transfer) ([]watchdog.Capability, bool) {
			tries++
			if len(ts) == 0 {
				return nil, false
			}
			return []watchdog.Capability{{Name: remedy.Window, Why: "denied"}}, true
		},
	}
	for _, n := range []int{0, 0, 2, 2} {
		a.Apply(context.Background(), watchdog.Desired{}, make([]watchdog.Transfer, n))
	}
	if tries != 3 {
		t.Errorf("tried %d times", tries)
	}
	got := a.able()
	if len(got) != 2 || got[0].Available || got[0].Why != "denied" || !got[1].Available {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(log.String(), "mechanism is not available"); n != 1 {
		t.Errorf("told %d times: %s", n, &log)
	}
	if got[1].Name = "changed"; a.able()[1].Name != remedy.Pause {
		t.Error("the caller's list is the actuator's own")
	}
}

// A dry run holds nothing that could be undone, counts, and has no guard.
func TestDryRunActuator(t *testing.T) {
	a := &actuator{dry: &remediate.DryRun{Limits: 1, Pauses: 2, Shapers: 3}}
	if c := a.dryRunCounts(); c == nil || c.Limits != 1 || c.Pauses != 2 || c.Shapers != 3 {
		t.Errorf("%+v", c)
	}
	if g := a.guardState(); g != (guardState{}) || a.shapeable(watchdog.ShaperKey{Link: 2}) {
		t.Errorf("%+v", g)
	}
	if err := errors.Join(a.undo(), a.undo(), a.release(), a.release()); err != nil {
		t.Error(err)
	}
	if c := (&actuator{}).dryRunCounts(); c != nil {
		t.Errorf("one that acts: %+v", c)
	}
}
