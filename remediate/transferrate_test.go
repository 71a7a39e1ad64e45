package remediate

import (
	"errors"
	"testing"

	"lifeline/watchdog"
)

// TestRatesOfTransfers follows a rate through the enforcer.
func TestRatesOfTransfers(t *testing.T) {
	b := newBench(t, Settings{})
	x, person, far := b.add(1, watchdog.Rx), b.add(2, watchdog.Rx), b.add(3, watchdog.Rx)
	id, theirs, other := x.ID, person.ID, far.ID
	b.ts[1].Control, b.ts[2].Foreign = watchdog.ControlPauseOnly, true
	for _, i := range []watchdog.TransferID{id, theirs, other} {
		b.want.Limits[i] = watchdog.Limit{Window: 20000, Rate: 1e6, Shape: true}
	}
	o := b.tick()
	k := watchdog.ShaperKey{Link: 2, Direction: watchdog.Rx}
	if len(b.shaper.withRate[k]) != 1 || b.shaper.withRate[k][0].Rate != 1e6 || len(b.shaper.members[k]) != 0 {
		t.Errorf("given to the shaper: %+v, members %v", b.shaper.withRate, b.shaper.members)
	}
	if l := o.Limits[id]; l.Rate != 1e6 || l.Shape || o.Limits[theirs].Rate != 0 || o.Limits[other].Rate != 0 {
		t.Errorf("in force: %+v", o.Limits)
	}
	b.shaper.refuse = errors.New("no ifb")
	if o = b.tick(); o.Limits[id].Rate != 0 || o.Unheld[id] != "no ifb" || len(o.Failed) != 0 {
		t.Errorf("in force: %+v, unheld %v, failed %v", o.Limits, o.Unheld, o.Failed)
	}
	b.e.settings.NoShaper = errors.New("in a container")
	if o = b.tick(); o.Unheld[id] != "in a container" || len(o.Failed) != 0 {
		t.Errorf("unheld %v, failed %v", o.Unheld, o.Failed)
	}
	b.want.Limits = nil
	if o = b.tick(); len(o.Unheld) != 0 {
		t.Errorf("unheld %v", o.Unheld)
	}
}
