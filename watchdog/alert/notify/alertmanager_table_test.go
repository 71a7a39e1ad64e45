package notify

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/unit"
)

// boardSim is a table with its disk and a clock, for tests.
type boardSim struct {
	*alertTable
	r    Receiver
	disk map[string][]byte // by fingerprint
	now  time.Time
}

func newBoardSim() *boardSim {
	b := &boardSim{r: DefaultReceiver(TypeAlertmanager), disk: map[string][]byte{}, now: alerttest.Began}
	b.r.Name = "am"
	b.alertTable = newTable(b.r, b.save)
	return b
}

func (b *boardSim) save(puts map[string][]byte) {
	for k, v := range puts {
		if v == nil {
			delete(b.disk, k)
			continue
		}
		b.disk[k] = v
	}
}

// event takes one event of an incident with one condition.
func (b *boardSim) event(kind incident.Kind, severity watchdog.Severity) (fire []string) {
	c := incident.ConditionState{Condition: watchdog.LinkSaturated, Subject: "eth0 rx", Severity: severity, Status: incident.StatusFiring, Since: alerttest.Began, Evidence: "much"}
	if kind == incident.Resolved {
		c.Status, c.Ended = incident.StatusResolved, b.now
	}
	fire, changed := b.apply(b.r, incident.Event{Kind: kind, At: b.now, Host: "h", Severity: severity, Incident: &incident.Ref{ID: "i"}, Conditions: []incident.ConditionState{c}}, b.now)
	b.keep(changed)
	return fire
}

// later lets time pass and counts the posts that are due; they are done.
func (b *boardSim) later(d time.Duration) map[action]int {
	b.now = b.now.Add(d)
	due, _ := b.dueActions(b.now)
	n := map[action]int{}
	for fp, what := range due {
		n[what]++
		p := b.alerts[fp]
		p.Last = b.now
		if what == repostResolved && p.Resolved.IsZero() {
			p.Resolved = b.now
		}
		if what == forgetAlert {
			p = postedAlert{}
		}
		b.keep(map[string]postedAlert{fp: p})
	}
	return n
}

func TestTableHoldsTheEnd(t *testing.T) {
	b := newBoardSim()
	if len(b.event(incident.Firing, watchdog.Warning)) != 1 {
		t.Fatal("nothing to post")
	}
	b.now = b.now.Add(20 * time.Second)
	if fire := b.event(incident.Resolved, watchdog.Warning); len(fire) != 0 || b.held() != 1 {
		t.Errorf("%d to post, %d held", len(fire), b.held())
	}
	refired := 0
	for b.held() == 1 {
		n := b.later(5 * time.Second)
		refired += n[repostFiring]
		if at := b.now.Sub(alerttest.Began); (n[repostResolved] > 0) != (at >= b.hold) {
			t.Fatalf("resolve %d after %s, to be held for %s", n[repostResolved], at, b.hold)
		}
	}
	if refired < 4 {
		t.Errorf("posted only %d times while it was held: it would expire at Alertmanager", refired)
	}
	// The end is told again for a quarter of an hour, then forgotten.
	again := 0
	for len(b.alerts) > 0 {
		again += b.later(30 * time.Second)[repostResolved]
		if b.now.Sub(alerttest.Began) > time.Hour {
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
		r.GroupWait, r.GroupInterval = unit.Of(c.wait), unit.Of(c.interval)
		if h := newTable(r, nil).hold; h != c.hold {
			t.Errorf("wait %s, interval %s: held %s, want %s", c.wait, c.interval, h, c.hold)
		}
	}
}

func TestTableSeverityChange(t *testing.T) {
	b := newBoardSim()
	b.event(incident.Firing, watchdog.Warning)
	b.now = b.now.Add(time.Second)
	b.event(incident.Updated, watchdog.Critical)
	due, _ := b.dueActions(b.now)
	if len(due) != 1 || b.alerts[keyOfMap(due)].Labels["severity"] != "warning" || due[keyOfMap(due)] != repostResolved {
		t.Errorf("due %v of %v: want the end of the warning at once", due, b.alerts)
	}
}

func keyOfMap(m map[string]action) (k string) {
	for k = range m {
	}
	return k
}

// What was told is known after a restart, and a clock that was set back makes
// nothing wait.
func TestTableSurvives(t *testing.T) {
	b := newBoardSim()
	b.event(incident.Firing, watchdog.Warning)
	b.now = b.now.Add(10 * time.Second)
	b.event(incident.Resolved, watchdog.Warning)
	again := newTable(b.r, b.save)
	again.restore(b.disk)
	other := DefaultReceiver(TypeAlertmanager)
	other.Name = "a"
	none := NewWorker(other, Env{Log: alerttest.Silent(), Now: time.Now})
	none.Restore(map[string]map[string][]byte{b.r.Name: b.disk})
	if fmt.Sprint(again.alerts) != fmt.Sprint(b.alerts) || again.held() != 1 || len(none.table.alerts) != 0 {
		t.Errorf("%v\nwant %v\nanother's: %v", again.alerts, b.alerts, none.table.alerts)
	}
	due, _ := again.dueActions(alerttest.Began.Add(-time.Hour))
	if due[keyOfMap(due)] != repostFiring {
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
