package alert

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"lifeline/watchdog"
)

// boardSim is a table with its disk and a clock, for tests.
type boardSim struct {
	*table
	r    Receiver
	disk map[slot][]byte
	now  time.Time
}

func newBoardSim() *boardSim {
	b := &boardSim{r: DefaultReceiver(TypeAlertmanager), disk: map[slot][]byte{}, now: simStart}
	b.r.Name = "am"
	b.table = newTable(b.r, b.save)
	return b
}

func (b *boardSim) save(puts map[slot][]byte) {
	for k, v := range puts {
		if v == nil {
			delete(b.disk, k)
			continue
		}
		b.disk[k] = v
	}
}

// event takes one event of an incident with one condition.
func (b *boardSim) event(kind Kind, severity watchdog.Severity) (fire []string) {
	c := ConditionState{Condition: watchdog.LinkSaturated, Subject: "eth0 rx", Severity: severity, Status: StatusFiring, Since: simStart, Evidence: "much"}
	if kind == Resolved {
		c.Status, c.Ended = StatusResolved, b.now
	}
	fire, changed := b.take(b.r, Event{Kind: kind, At: b.now, Host: "h", Severity: severity, Incident: &IncidentRef{ID: "i"}, Conditions: []ConditionState{c}}, b.now)
	b.keep(changed)
	return fire
}

// later lets time pass and counts the posts that are due; they are done.
func (b *boardSim) later(d time.Duration) map[duty]int {
	b.now = b.now.Add(d)
	due, _ := b.duties(b.now)
	n := map[duty]int{}
	for fp, what := range due {
		n[what]++
		p := b.alerts[fp]
		p.Last = b.now
		if what == resolve && p.Resolved.IsZero() {
			p.Resolved = b.now
		}
		if what == forget {
			p = posted{}
		}
		b.keep(map[string]posted{fp: p})
	}
	return n
}

func TestTableHoldsTheEnd(t *testing.T) {
	b := newBoardSim()
	if len(b.event(Firing, watchdog.Warning)) != 1 {
		t.Fatal("nothing to post")
	}
	b.now = b.now.Add(20 * time.Second)
	if fire := b.event(Resolved, watchdog.Warning); len(fire) != 0 || b.held() != 1 {
		t.Errorf("%d to post, %d held", len(fire), b.held())
	}
	refired := 0
	for b.held() == 1 {
		n := b.later(5 * time.Second)
		refired += n[refire]
		if at := b.now.Sub(simStart); (n[resolve] > 0) != (at >= b.hold) {
			t.Fatalf("resolve %d after %s, to be held for %s", n[resolve], at, b.hold)
		}
	}
	if refired < 4 {
		t.Errorf("posted only %d times while it was held: it would expire at Alertmanager", refired)
	}
	// The end is told again for a quarter of an hour, then forgotten.
	again := 0
	for len(b.alerts) > 0 {
		again += b.later(30 * time.Second)[resolve]
		if b.now.Sub(simStart) > time.Hour {
			t.Fatal("never forgotten")
		}
	}
	if again < 10 || again > 16 || len(b.disk) != 0 {
		t.Errorf("the end was told %d times again; %d on disk", again, len(b.disk))
	}
}

// The hold is longer than any time to a first notification, in a new group and
// in one that exists, and ends before the second one of a new group: else its
// end would wait for the third.
func TestTableHoldsLongEnough(t *testing.T) {
	for _, c := range []struct{ wait, interval, hold time.Duration }{
		{30 * time.Second, 5 * time.Minute, 5*time.Minute + 15*time.Second},
		{0, 5 * time.Minute, 5*time.Minute + time.Second},
		{time.Hour, time.Minute, time.Hour + 30*time.Second},
	} {
		r := DefaultReceiver(TypeAlertmanager)
		r.GroupWait, r.GroupInterval = c.wait, c.interval
		if h := newTable(r, nil).hold; h != c.hold {
			t.Errorf("wait %s, interval %s: held %s, want %s", c.wait, c.interval, h, c.hold)
		}
	}
}

func TestTableSeverityChange(t *testing.T) {
	b := newBoardSim()
	b.event(Firing, watchdog.Warning)
	b.now = b.now.Add(time.Second)
	b.event(Updated, watchdog.Critical)
	due, _ := b.duties(b.now)
	if len(due) != 1 || b.alerts[keyOfMap(due)].Labels["severity"] != "warning" || due[keyOfMap(due)] != resolve {
		t.Errorf("due %v of %v: want the end of the warning at once", due, b.alerts)
	}
}

func keyOfMap(m map[string]duty) (k string) {
	for k = range m {
	}
	return k
}

// What was told is known after a restart, and a clock that was set back makes
// nothing wait.
func TestTableSurvives(t *testing.T) {
	b := newBoardSim()
	b.event(Firing, watchdog.Warning)
	b.now = b.now.Add(10 * time.Second)
	b.event(Resolved, watchdog.Warning)
	again := newTable(b.r, b.save)
	again.restore(b.disk)
	other := DefaultReceiver(TypeAlertmanager)
	other.Name = "a"
	none := newTable(other, b.save)
	none.restore(b.disk)
	if fmt.Sprint(again.alerts) != fmt.Sprint(b.alerts) || again.held() != 1 || len(none.alerts) != 0 {
		t.Errorf("%v\nwant %v\nanother's: %v", again.alerts, b.alerts, none.alerts)
	}
	due, _ := again.duties(simStart.Add(-time.Hour))
	if due[keyOfMap(due)] != refire {
		t.Errorf("after the clock was set back: %v", due)
	}
	for k := range b.disk {
		b.disk[k] = json.RawMessage("junk")
	}
	if again = newTable(b.r, b.save); again.alerts != nil {
		again.restore(b.disk)
	}
	if len(again.alerts) != 0 {
		t.Error("junk was taken")
	}
}
