package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog"
)

var simStart = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// sim drives a lifecycle in simulated time and writes what it tells each
// receiver.
type sim struct {
	t     *testing.T
	life  *Lifecycle
	now   time.Duration
	stand []watchdog.Condition
	told  []string
	ids   []string
	disk  map[string][]byte // open incidents
	past  []*Open
}

func newSim(t *testing.T, routes ...Route) *sim {
	if len(routes) == 0 {
		routes = []Route{{Name: "r", MinWeight: 1, Minor: true, Reminders: true, Resolved: true}}
	}
	s := &sim{t: t, disk: map[string][]byte{}}
	s.life = New(Settings{Host: "h", Repeat: time.Hour, FlapCount: 4, FlapWindow: 10 * time.Minute, FlapQuiet: 5 * time.Minute, Grace: GraceAfterRestart, Routes: routes})
	return s
}

func (s *sim) at() Moment { return Moment{simStart.Add(s.now), s.now} }

func (s *sim) collect() {
	out := s.life.Output()
	for _, o := range out.Events {
		s.ids = append(s.ids, o.Event.ID)
		for _, to := range o.To {
			line := fmt.Sprintf("%v %s %s %s", s.now, to.Receiver, to.Kind, o.Event.Severity)
			if len(o.Event.Reasons) > 0 {
				line += fmt.Sprintf(" %v", o.Event.Reasons)
			}
			if o.Event.Minor {
				line += " minor"
			}
			s.told = append(s.told, line)
		}
	}
	for _, inc := range out.Changed {
		s.disk[inc.ID] = asJSON(s.t, inc)
	}
	for _, inc := range out.Closed {
		delete(s.disk, inc.ID)
		s.past = append(s.past, inc)
	}
}

// asJSON is an incident as the spool keeps it.
func asJSON(t *testing.T, inc *Open) []byte {
	raw, err := json.Marshal(inc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func cond(name watchdog.ConditionName, subject string, sev watchdog.Severity) watchdog.Condition {
	return watchdog.Condition{Name: name, Subject: watchdog.ParseSubject(name, subject), Severity: sev, Evidence: "because"}
}

var (
	saturated   = cond(watchdog.LinkSaturated, "eth0 rx", watchdog.Warning)
	saturatedTx = cond(watchdog.LinkSaturated, "eth0 tx", watchdog.Warning)
	errorsOn    = cond(watchdog.LinkErrors, "eth0", watchdog.Warning)
	down        = cond(watchdog.LinkDown, "eth1", watchdog.Critical)
	unreachable = cond(watchdog.ManagementUnreachable, "host", watchdog.Critical)
	blind       = cond(watchdog.ProbeBlind, "nic", watchdog.Warning)
	unprotected = cond(watchdog.Unprotected, "host", watchdog.Warning)
	failed      = cond(watchdog.RemedyFailed, "shaper", watchdog.Critical)
)

// peer is a management host that fell silent.
func peer(address string) watchdog.Condition {
	return cond(watchdog.ManagementPeerSilent, address, watchdog.Warning)
}

// raise and clear are one turn in which conditions change.
func (s *sim) raise(cs ...watchdog.Condition) {
	var changes []watchdog.Change
	for _, c := range cs {
		c.Since = s.at().Wall
		s.stand = append(s.stand, c)
		changes = append(changes, watchdog.Change{Condition: c, Raised: true})
	}
	s.turn(changes)
}

func (s *sim) clear(cs ...watchdog.Condition) {
	var changes []watchdog.Change
	for _, c := range cs {
		s.stand = slices.DeleteFunc(s.stand, func(o watchdog.Condition) bool { return keyOf(o) == keyOf(c) })
		changes = append(changes, watchdog.Change{Condition: c})
	}
	s.turn(changes)
}

func (s *sim) turn(changes []watchdog.Change) {
	if len(changes) > 0 {
		s.life.Apply(s.at(), changes)
	}
	s.life.Reconcile(s.at(), s.stand)
	s.life.Advance(s.at())
	s.collect()
}

// pass lets time go by, with a turn a second.
func (s *sim) pass(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.now += min(time.Second, end-s.now)
		s.turn(nil)
	}
}

func (s *sim) want(lines ...string) {
	s.t.Helper()
	if diff := cmp.Diff(lines, s.told); diff != "" {
		s.t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestFiringUpdatedResolved(t *testing.T) {
	s := newSim(t)
	s.raise(saturated)
	s.pass(3 * time.Second)
	s.raise(unreachable)
	s.pass(5 * time.Second)
	s.clear(unreachable)
	s.pass(10 * time.Second)
	s.clear(saturated)
	s.want(
		"0s r firing warning",
		"3s r updated critical [joined severity]",
		"8s r updated warning [cleared severity]",
		"18s r resolved critical",
	)
	if len(s.past) != 1 || len(s.life.Incidents) != 0 {
		t.Fatalf("%d past, %d open", len(s.past), len(s.life.Incidents))
	}
	inc := s.past[0]
	if inc.Cause.Condition != watchdog.LinkSaturated || inc.Ended.Sub(inc.Started) != 18*time.Second || inc.Severity != watchdog.Critical {
		t.Errorf("incident %+v", inc.Incident)
	}
	want := []string{inc.ID + "-1", inc.ID + "-2", inc.ID + "-3", inc.ID + "-4"}
	if diff := cmp.Diff(want, s.ids); diff != "" {
		t.Errorf("ids:\n%s", diff)
	}
}

// Conditions that are found in one turn are told at once, not one by one.
func TestOneTurnIsOneEvent(t *testing.T) {
	s := newSim(t)
	s.raise(saturated, saturatedTx, unreachable)
	s.want("0s r firing critical")
	if n := len(s.life.Incidents[0].Conditions); n != 3 {
		t.Errorf("%d conditions", n)
	}
}

func TestCause(t *testing.T) {
	s := newSim(t)
	s.raise(unreachable)
	s.raise(saturated)
	s.raise(errorsOn)
	s.clear(errorsOn)
	s.clear(saturated)
	s.clear(unreachable)
	s.want(
		"0s r firing critical",
		"0s r updated critical [joined cause]",
		"0s r updated critical [joined cause]",
		"0s r updated critical [cleared] minor",
		"0s r updated critical [cleared] minor",
		"0s r resolved critical",
	)
	if c := s.past[0].Cause.Condition; c != watchdog.LinkErrors {
		t.Errorf("cause %s, want the strongest there was", c)
	}
}

func TestGrouping(t *testing.T) {
	for name, c := range map[string]struct {
		raise []watchdog.Condition
		want  int
	}{
		"both directions of a link":              {[]watchdog.Condition{saturated, saturatedTx}, 1},
		"a link and its errors":                  {[]watchdog.Condition{saturated, errorsOn}, 1},
		"two links":                              {[]watchdog.Condition{saturated, down}, 2},
		"two links joined by silence":            {[]watchdog.Condition{unreachable, saturated, down}, 1},
		"silence joins the link":                 {[]watchdog.Condition{saturated, unreachable}, 1},
		"two peers and then all":                 {[]watchdog.Condition{peer("192.0.2.1"), peer("192.0.2.9"), unreachable}, 1},
		"a silent peer stays alone":              {[]watchdog.Condition{peer("192.0.2.1"), saturated, down}, 3},
		"a remedy joins the link":                {[]watchdog.Condition{saturated, failed}, 1},
		"a remedy alone attracts nothing":        {[]watchdog.Condition{failed, saturated}, 2},
		"a blind probe stays alone":              {[]watchdog.Condition{blind, saturated, unreachable}, 2},
		"a weakness of the host stays alone":     {[]watchdog.Condition{unprotected, saturated}, 2},
		"a new kind of condition is by its link": {[]watchdog.Condition{cond("SomethingNew", "eth0 tx", "info"), saturated}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			for _, c := range c.raise {
				s.raise(c)
			}
			if got := len(s.life.Incidents); got != c.want {
				t.Errorf("%d incidents, want %d", got, c.want)
			}
		})
	}
}

// Conditions that do not overlap are incidents of their own.
func TestNoOverlapNoGroup(t *testing.T) {
	s := newSim(t)
	s.raise(saturated)
	s.clear(saturated)
	s.pass(time.Second)
	s.raise(saturatedTx)
	if len(s.past) != 1 || len(s.life.Incidents) != 1 || s.past[0].ID == s.life.Incidents[0].ID {
		t.Errorf("%d past, %d open", len(s.past), len(s.life.Incidents))
	}
}

func TestReceiversSeverity(t *testing.T) {
	s := newSim(t,
		Route{Name: "all", MinWeight: 1, Minor: true, Reminders: true, Resolved: true},
		Route{Name: "critical", MinWeight: 3, Resolved: true},
		Route{Name: "begins", MinWeight: 1},
	)
	s.raise(saturated)
	s.now = time.Second
	s.raise(saturatedTx)
	s.now = 2 * time.Second
	s.raise(unreachable)
	s.now = 3 * time.Second
	s.clear(unreachable)
	s.now = 4 * time.Second
	s.clear(saturated, saturatedTx)
	s.want(
		"0s all firing warning", "0s begins firing warning",
		"1s all updated warning [joined] minor",
		"2s all updated critical [joined severity]", "2s critical firing critical [joined severity]", "2s begins updated critical [joined severity]",
		"3s all updated warning [cleared severity]", "3s critical updated warning [cleared severity]", "3s begins updated warning [cleared severity]",
		"4s all resolved critical", "4s critical resolved critical",
	)
}

func TestReminders(t *testing.T) {
	s := newSim(t, Route{Name: "r", MinWeight: 1, Reminders: true, Resolved: true}, Route{Name: "quiet", MinWeight: 1, Resolved: true})
	s.raise(saturated)
	s.pass(2*time.Hour + time.Minute)
	s.clear(saturated)
	s.want("0s r firing warning", "0s quiet firing warning",
		"1h0m0s r reminder warning", "2h0m0s r reminder warning",
		"2h1m0s r resolved warning", "2h1m0s quiet resolved warning")
}

func TestSeverityOfOneCondition(t *testing.T) {
	s := newSim(t)
	s.raise(errorsOn, unreachable)
	s.stand[0].Severity = watchdog.Info
	s.pass(time.Second)
	s.stand = s.stand[:1]
	s.pass(time.Second)
	s.stand[0].Severity = watchdog.Critical
	s.pass(time.Second)
	s.want("0s r firing critical",
		"1s r updated critical [condition] minor",
		"2s r updated info [cleared severity]",
		"3s r updated critical [condition severity]")
}

func TestFlapping(t *testing.T) {
	s := newSim(t)
	for range 20 { // on for 5 s, off for 5 s
		s.raise(saturated)
		s.pass(5 * time.Second)
		s.clear(saturated)
		s.pass(5 * time.Second)
	}
	if len(s.past) != 3 || len(s.life.Incidents) != 1 {
		t.Fatalf("%d past, %d open; want 3 and the flapping one", len(s.past), len(s.life.Incidents))
	}
	s.pass(5 * time.Minute)
	s.want(
		"0s r firing warning", "5s r resolved warning",
		"10s r firing warning", "15s r resolved warning",
		"20s r firing warning", "25s r resolved warning",
		"30s r firing warning",
		"8m15s r resolved warning",
	)
	inc := s.past[3]
	if want := simStart.Add(195 * time.Second); !inc.Ended.Equal(want) {
		t.Errorf("ended %s, want when it was last seen, %s", inc.Ended, want)
	}
}

// One that begins to flap within an incident is told so, once, and what
// stands still is steady again after a while.
func TestFlappingWithinIncident(t *testing.T) {
	s := newSim(t)
	s.raise(down, unreachable)
	for range 10 {
		s.clear(down)
		s.pass(2 * time.Second)
		s.raise(down)
		s.pass(2 * time.Second)
	}
	s.pass(10 * time.Minute)
	s.clear(down)
	var flaps, n int
	for _, l := range s.told {
		if strings.Contains(l, "flapping") {
			flaps++
		}
		if strings.Contains(l, "updated") {
			n++
		}
	}
	if flaps != 1 || n > 8 {
		t.Errorf("told of flapping %d times, %d updates:\n%s", flaps, n, strings.Join(s.told, "\n"))
	}
	if last := s.told[len(s.told)-1]; !strings.Contains(last, "updated critical [cleared]") {
		t.Errorf("last: %s", last)
	}
}

func TestSilence(t *testing.T) {
	s := newSim(t)
	s.life.Silences = []Silence{{ID: "s", Condition: "Link*", From: simStart, Until: simStart.Add(time.Minute)}}
	s.raise(saturated)
	s.pass(10 * time.Second)
	s.clear(saturated) // wholly within the silence: never told
	s.pass(10 * time.Second)
	s.raise(saturated)
	s.pass(10 * time.Second)
	s.raise(unreachable) // not silenced: all is told
	s.pass(10 * time.Second)
	s.clear(unreachable)
	s.pass(time.Minute)
	s.clear(saturated)
	s.want(
		"30s r firing critical [joined severity unsilenced]",
		"1m0s r updated warning [unsilenced]",
		"1m40s r resolved critical",
	)
	if len(s.past) != 2 || len(s.life.Silences) != 0 {
		t.Errorf("%d in the history, %d silences left", len(s.past), len(s.life.Silences))
	}
}

// What was told before a silence began is resolved during it.
func TestSilenceLetsTheEndThrough(t *testing.T) {
	s := newSim(t)
	s.raise(saturated)
	s.life.Silences = []Silence{{ID: "s", Subject: "eth0 ?x", From: simStart, Until: simStart.Add(time.Hour)}}
	s.pass(time.Second)
	s.raise(saturatedTx)
	s.clear(saturated, saturatedTx)
	s.want("0s r firing warning", "1s r resolved warning")
}

// restart gives a sim that knows what was on disk and nothing else.
func (s *sim) restart() *sim {
	n := newSim(s.t, s.life.Routes...)
	n.now = s.now
	n.told, n.past = s.told, s.past
	var open []*Open
	for _, raw := range s.disk {
		var inc Open
		if err := json.Unmarshal(raw, &inc); err != nil {
			s.t.Fatal(err)
		}
		open = append(open, &inc)
	}
	n.disk = s.disk
	n.life.Restore(open, s.life.Silences)
	return n
}

func TestRestart(t *testing.T) {
	s := newSim(t)
	s.raise(saturated)
	s.raise(down)
	s.pass(10 * time.Second)
	id := s.life.Incidents[0].ID
	s = s.restart()
	s.pass(3 * time.Second) // hysteresis: nothing stands yet
	s.raise(saturated)
	s.pass(40 * time.Second)
	s.want("0s r firing warning", "0s r firing critical", "41s r resolved critical")
	if len(s.life.Incidents) != 1 || s.life.Incidents[0].ID != id {
		t.Fatalf("%d open; want the same incident to go on", len(s.life.Incidents))
	}
	if got := s.life.Incidents[0].Conditions[0].Since; !got.Equal(simStart) {
		t.Errorf("since %s, want from before the restart", got)
	}
	if got := s.past[0].Ended; !got.Equal(simStart.Add(11 * time.Second)) {
		t.Errorf("what was gone is told to have ended at %s, want when Lifeline first looked again", got)
	}
	s.clear(saturated)
	if last := s.told[len(s.told)-1]; last != "53s r resolved warning" {
		t.Errorf("last: %s", last)
	}
}

// What was not found again is told to be over by the first turn after the
// grace: the last one before it settles nothing.
func TestEndOfTheGraceIsSeen(t *testing.T) {
	s := newSim(t)
	s.raise(down)
	s = s.restart()
	s.stand = nil
	s.turn(nil)
	s.now += GraceAfterRestart - time.Millisecond
	s.turn(nil)
	s.now += time.Millisecond
	s.life.Advance(s.at())
	if next, ok := s.life.NextDue(s.at()); !ok || next > s.now+time.Second {
		t.Fatalf("looks again at %s (%t), %s after the grace", next, ok, next-s.now)
	}
	s.now += time.Millisecond
	s.turn(nil)
	s.want("0s r firing critical", "30.001s r resolved critical")
}

// Changes that were missed do not matter: what stands is the truth.
func TestMissedChanges(t *testing.T) {
	s := newSim(t)
	s.stand = []watchdog.Condition{saturated}
	s.pass(time.Second)
	s.stand = nil
	s.pass(time.Second)
	s.want("1s r firing warning", "2s r resolved warning")
}

// Incidents that begin in the same millisecond are told apart: a restart would
// else take up only one of those with the same id, and never tell the others'
// ends. Among 255 that differ in 16 bits, two are equal in 39 % of all cases.
func TestIncidentsOfOneMoment(t *testing.T) {
	for n := range 20 {
		s := newSim(t)
		s.now = time.Duration(n) * time.Millisecond
		var down []watchdog.Condition
		for n := range maxOpen - 1 {
			down = append(down, cond(watchdog.LinkDown, fmt.Sprintf("veth%d", n), watchdog.Warning))
		}
		s.raise(down...)
		if s = s.restart(); len(s.life.Incidents) != len(down) {
			t.Fatalf("%d of %d incidents are known after a restart", len(s.life.Incidents), len(down))
		}
	}
}

func TestManyIncidents(t *testing.T) {
	s := newSim(t)
	for n := range maxOpen + 300 {
		s.raise(cond(watchdog.LinkDown, fmt.Sprintf("veth%d", n), watchdog.Warning))
	}
	if len(s.life.Incidents) != maxOpen {
		t.Errorf("%d open incidents", len(s.life.Incidents))
	}
	last := s.life.Incidents[maxOpen-1]
	ev := last.event(Reminder, s.at(), last.activeConditions(s.now, 0))
	if len(ev.Conditions) != maxConditions || ev.Omitted != 301-maxConditions {
		t.Errorf("%d conditions told, %d omitted", len(ev.Conditions), ev.Omitted)
	}
	for _, c := range slices.Clone(s.stand) {
		s.clear(c)
	}
	if len(s.life.Incidents) != 0 {
		t.Errorf("%d open incidents left", len(s.life.Incidents))
	}
}

func TestTimelineIsBounded(t *testing.T) {
	s := newSim(t)
	s.raise(saturated)
	for range 1000 {
		s.life.Remark(s.at().Wall, watchdog.DirectionSubject("eth0", watchdog.Rx), "8 transfers limited")
		s.life.Remark(s.at().Wall, watchdog.LinkSubject("eth9"), "not about this")
	}
	inc := s.life.Incidents[0]
	if len(inc.Timeline) != maxTimeline || inc.Omitted != 1001-maxTimeline || !strings.Contains(inc.Timeline[0].Text, "was raised") {
		t.Errorf("%d lines, %d omitted, first %q", len(inc.Timeline), inc.Omitted, inc.Timeline[0].Text)
	}
}

// The evidence of a long incident is sampled ever more seldom.
func TestEvidenceIsSampled(t *testing.T) {
	s := newSim(t)
	s.life.Repeat = 0
	s.raise(saturated)
	s.pass(24 * time.Hour)
	if n := len(s.life.Incidents[0].Timeline); n < 8 || n > 20 {
		t.Errorf("%d lines in a day", n)
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true}, {"*", "", true}, {"eth0 rx", "eth0 rx", true}, {"eth0 rx", "eth0 tx", false},
		{"eth0*", "eth0 tx", true}, {"*x", "eth0 rx", true}, {"*r?", "eth0 rx", true}, {"?", "", false},
		{"a*b*c", "aXXbYYc", true}, {"a*b*c", "aXXcYYb", false}, {"**", "x", true}, {"*a", "aaaaaab", false}, {"é?", "éü", true},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("fits(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
