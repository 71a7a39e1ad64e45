package alert

import (
	"errors"
	"fmt"
	rand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/unit"
)

func TestDelivery(t *testing.T) {
	b := alerttest.NewInbox(t)
	a := start(t, t.TempDir(), quick("r", notify.TypeJSON, b.URL))
	a.raise(alerttest.Saturated)
	a.raise(alerttest.Unreachable)
	a.clear(alerttest.Unreachable)
	a.clear(alerttest.Saturated)
	alerttest.Eventually(t, "four events", func() bool { return len(b.Got()) == 4 })
	got := b.Got()
	if diff := cmp.Diff([]incident.Kind{incident.Firing, incident.Updated, incident.Updated, incident.Resolved}, kinds(got)); diff != "" {
		t.Error(diff)
	}
	for n, ev := range got {
		if ev.Host != "h" || ev.Version != "1" || ev.Incident.Sequence != n+1 || ev.Incident.ID != got[0].Incident.ID {
			t.Errorf("event %d: %+v", n, ev)
		}
	}
	alerttest.Eventually(t, "nothing pending", func() bool { return a.receiver("r").Pending == 0 })
	if st := a.receiver("r"); st.Sent != 4 || st.Failed != 0 || st.LastErr != "" || st.Target != b.URL {
		t.Errorf("%+v", st)
	}
}

// An alert raised while its receiver is away arrives when it is back, with the
// time when it happened, after a restart too.
func TestReceiverAwayAndRestart(t *testing.T) {
	b := alerttest.NewInbox(t)
	b.Set(alerttest.Always(503))
	dir := t.TempDir()
	a := start(t, dir, quick("r", notify.TypeJSON, b.URL))
	before := time.Now()
	a.pair(alerttest.Saturated)
	a.raise(alerttest.Down)
	alerttest.Eventually(t, "three spooled and some tries", func() bool { return a.receiver("r").Pending == 3 && b.Requests() > 2 })
	after := time.Now()
	if st := a.receiver("r"); st.LastErr != "answered 503 Service Unavailable" || st.NextTry.IsZero() || st.Oldest.IsZero() {
		t.Errorf("%+v", st)
	}
	if waiting := queued(t, a.spool, "r"); len(waiting) != 3 || waiting[0].Kind != incident.Firing || waiting[0].Summary == "" {
		t.Errorf("%+v", waiting)
	}
	a.stop()
	laterThan(t, after)
	b.Set(nil)
	a = start(t, dir, quick("r", notify.TypeJSON, b.URL))
	a.raise(alerttest.Down) // found again: the same incident
	alerttest.Eventually(t, "all events", func() bool { return len(b.Got()) == 3 })
	got := b.Got()
	if diff := cmp.Diff([]incident.Kind{incident.Firing, incident.Resolved, incident.Firing}, kinds(got)); diff != "" {
		t.Error(diff)
	}
	for _, ev := range got {
		if ev.At.Before(incident.Timestamp(before)) || ev.At.After(after) {
			t.Errorf("%s is told as of %s, happened between %s and %s", ev.ID, ev.At, before, after)
		}
	}
	a.clear(alerttest.Down)
	alerttest.Eventually(t, "the end", func() bool { return len(b.Got()) == 4 })
	if last := b.Got()[3]; last.Kind != incident.Resolved || last.Incident.ID != got[2].Incident.ID {
		t.Errorf("last %+v", last)
	}
}

// A receiver that hangs delays no other. (Nor the caller: see
// TestControlLoopNeverWaits.)
func TestSlowReceiverDelaysNobody(t *testing.T) {
	fine := alerttest.NewInbox(t)
	hanging := alerttest.NewHanging(t)
	a := start(t, t.TempDir(), quick("hangs", notify.TypeJSON, hanging), quick("fine", notify.TypeJSON, fine.URL))
	for i := range 100 {
		a.pair(alerttest.Condition(watchdog.LinkDown, fmt.Sprintf("eth%d", i), watchdog.Critical))
	}
	alerttest.Eventually(t, "all at the other receiver", func() bool { return len(fine.Got()) == 200 })
	if a.receiver("hangs").Pending != 200 {
		t.Errorf("%+v", a.receiver("hangs"))
	}
}

func TestDeadLettersAndResend(t *testing.T) {
	b := alerttest.NewInbox(t)
	b.Set(func(_ int, ev incident.Event) int {
		if ev.Kind == incident.Firing {
			return 422
		}
		return 204
	})
	a := start(t, t.TempDir(), quick("r", notify.TypeJSON, b.URL))
	a.pair(alerttest.Saturated)
	alerttest.Eventually(t, "the end is told all the same", func() bool { return len(b.Got()) == 1 && a.receiver("r").Pending == 0 })
	dead, err := a.DeadLetters("")
	if err != nil || len(dead) != 1 || dead[0].Status != 422 || dead[0].Kind != incident.Firing || a.receiver("r").Dead != 1 {
		t.Fatalf("%+v, %v", dead, err)
	}
	b.Set(nil)
	if n, err := a.Resend("r", dead[0].Event); n != 1 || err != nil {
		t.Fatalf("resend: %d, %v", n, err)
	}
	alerttest.Eventually(t, "the resent one", func() bool { return len(b.Got()) == 2 })
	if ev := b.Got()[1]; ev.ID != dead[0].Event || ev.Kind != incident.Firing {
		t.Errorf("resent %+v", ev)
	}
	if dead, err = a.DeadLetters("r"); err != nil || len(dead) != 0 {
		t.Errorf("%+v, %v", dead, err)
	}
}

// An event on which the receiver always fails does not keep back those of
// other incidents, and nothing overtakes it within its own.
func TestPoisonedIncident(t *testing.T) {
	b := alerttest.NewInbox(t)
	var heal atomic.Bool
	b.Set(func(_ int, ev incident.Event) int {
		if strings.Contains(ev.Summary, "eth1") && !heal.Load() {
			return 500
		}
		return 204
	})
	a := start(t, t.TempDir(), quick("r", notify.TypeJSON, b.URL))
	a.pair(alerttest.Down) // eth1
	for i := range 20 {
		a.pair(alerttest.Condition(watchdog.LinkDown, fmt.Sprintf("lan%d", i), watchdog.Critical))
	}
	alerttest.Eventually(t, "the other incidents", func() bool { return len(b.Got()) == 40 })
	heal.Store(true)
	alerttest.Eventually(t, "the poisoned one", func() bool { return len(b.Got()) == 42 })
	if got := b.Got()[40:]; got[0].Kind != incident.Firing || got[1].Kind != incident.Resolved || got[0].Incident.ID != got[1].Incident.ID {
		t.Errorf("%v", kinds(got))
	}
}

func TestSilenceCommand(t *testing.T) {
	b := alerttest.NewInbox(t)
	dir := t.TempDir()
	a := start(t, dir, quick("r", notify.TypeJSON, b.URL))
	for _, bad := range []incident.Silence{{}, {Subject: "a\nb"}} {
		if _, err := a.Silence(bad, time.Hour); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	for bad, want := range map[incident.Silence]string{
		{Condition: "LinkSat"}:                      `no condition fits "LinkSat": did you mean "LinkSaturated"? (there are LinkDown, `,
		{Condition: "linkdwn"}:                      `did you mean "LinkDown"?`,
		{Condition: "Lnk*"}:                         `no condition fits "Lnk*" (there are `,
		{Severity: "warn"}:                          `no severity fits "warn": did you mean "warning"? (there are info, warning, critical)`,
		{Condition: "LinkDown", Severity: "urgent"}: `no severity fits "urgent" (there are `,
	} {
		if _, err := a.Silence(bad, time.Hour); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, good := range []incident.Silence{{Condition: "Link*"}, {Condition: "LinkDown", Severity: "crit*"}, {Severity: "*"}} {
		s, err := a.Silence(good, time.Hour)
		if err != nil || a.Unsilence(s.ID) != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	if _, err := a.Silence(incident.Silence{Subject: "*"}, -time.Second); err == nil {
		t.Error("a silence into the past was taken")
	}
	s, err := a.Silence(incident.Silence{Subject: "eth0*", By: "me", Comment: "cable work"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a.raise(alerttest.Saturated)
	a.raise(alerttest.Down)
	alerttest.Eventually(t, "what is not silenced", func() bool { return len(b.Got()) == 1 })
	a.stop()
	a = start(t, dir, quick("r", notify.TypeJSON, b.URL))
	if got := a.Silences(); len(got) != 1 || got[0] != s {
		t.Fatalf("after a restart: %+v, want %+v", got, s)
	}
	a.raise(alerttest.Saturated, alerttest.Down)
	if err := a.Unsilence(s.ID); err != nil {
		t.Fatal(err)
	}
	alerttest.Eventually(t, "what was silenced", func() bool { return len(b.Got()) == 2 })
	if got := b.Got(); got[0].Conditions[0].Subject != "eth1" || got[1].Conditions[0].Subject != "eth0 rx" || got[1].Kind != incident.Firing {
		t.Errorf("%+v", got)
	}
	if err := a.Unsilence(s.ID); !errors.Is(err, ErrNoSilence) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestTestAlert(t *testing.T) {
	b, other := alerttest.NewInbox(t), alerttest.NewInbox(t)
	r := quick("r", notify.TypeJSON, b.URL)
	r.MinSeverity = "critical"
	a := start(t, t.TempDir(), r, quick("other", notify.TypeJSON, other.URL))
	if _, err := a.Silence(incident.Silence{Subject: "*"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	id, err := a.Test("r")
	if err != nil {
		t.Fatal(err)
	}
	alerttest.Eventually(t, "begin and end", func() bool { return len(b.Got()) == 2 && a.receiver("r").Pending == 0 })
	for _, ev := range b.Got() {
		if !ev.Test || ev.Incident.ID != id {
			t.Errorf("%+v", ev)
		}
	}
	if len(other.Got()) != 0 {
		t.Error("another receiver was told")
	}
	inc, err := a.Explain(id)
	if err != nil || len(inc.Told) != 2 || !inc.Test {
		t.Errorf("%+v, %v", inc, err)
	}
	if _, err := a.Test("nobody"); !errors.Is(err, ErrNoReceiver) {
		t.Errorf("%v", err)
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := alerttest.NewInbox(t)
	r := quick("r", notify.TypeJSON, b.URL)
	r.Heartbeat = unit.Of(20 * time.Millisecond)
	cfg := DefaultConfig()
	cfg.Receivers = []notify.Receiver{r}
	if err := cfg.Validate(); err == nil {
		t.Error("a heartbeat of 20 ms was taken")
	}
	r.Heartbeat = unit.Of(time.Second)
	a := start(t, t.TempDir(), r)
	beats := func() []incident.Event {
		return slices.DeleteFunc(b.Got(), func(ev incident.Event) bool { return ev.Kind != incident.Heartbeat })
	}
	id, err := a.Test("r")
	if err != nil {
		t.Fatal(err)
	}
	a.answers(id) // so the worker has looked whether a heartbeat is due
	if n := len(beats()); n != 0 {
		t.Errorf("%d heartbeats of a loop that does not turn", n)
	}
	a.Take(time.Now(), nil, nil)
	alerttest.Eventually(t, "two heartbeats", func() bool { return len(beats()) == 2 })
	got := beats()
	if got[0].Kind != incident.Heartbeat || got[0].ID == got[1].ID || got[1].At.Sub(got[0].At) < 500*time.Millisecond {
		t.Errorf("%+v", got)
	}
	// A loop that hangs stops the heart.
	a.box.mu.Lock()
	a.box.latest.Mono -= 2 * loopTimeout
	a.box.mu.Unlock()
	alerttest.Eventually(t, "the heart stops", func() bool { return a.receiver("r").LastErr != "" })
	if n := len(beats()); n > 3 {
		t.Errorf("%d heartbeats", n)
	}
}

func TestHistoryAndExplain(t *testing.T) {
	t.Parallel()
	b := alerttest.NewInbox(t)
	dir := t.TempDir()
	a := start(t, dir, quick("r", notify.TypeJSON, b.URL))
	a.pair(alerttest.Down)
	laterThan(t, time.Now()) // ids sort by the millisecond
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "told", func() bool { return len(b.Got()) == 3 && a.receiver("r").Pending == 0 })
	a.Remark(time.Now(), watchdog.DirectionSubject("eth0", watchdog.Rx), "8 transfers limited to 11 Mbit/s each")
	a.clear(alerttest.Saturated)
	alerttest.Eventually(t, "told", func() bool { return len(b.Got()) == 4 && a.receiver("r").Pending == 0 })
	a.raise(alerttest.Blind)
	alerttest.Eventually(t, "three incidents", func() bool { h, err := a.History(10); return err == nil && len(h) == 3 && h[1].Ended != time.Time{} })
	h, err := a.History(2)
	if err != nil || len(h) != 2 || h[0].Cause.Condition != watchdog.ProbeBlind {
		t.Fatalf("%+v, %v", h, err)
	}
	inc, err := a.Explain(h[1].ID)
	if err != nil || len(inc.Told) != 2 {
		t.Fatalf("%+v, %v", inc, err)
	}
	for _, want := range []string{"LinkSaturated eth0 rx (warning) was raised: because", "8 transfers limited", "the incident is over", "r: firing", "r: resolved"} {
		if !strings.Contains(inc.Text(), want) {
			t.Errorf("%q is not in\n%s", want, inc.Text())
		}
	}
	if open, err := a.Explain(h[0].ID[:len(h[0].ID)-1]); err != nil || open.ID != h[0].ID || !strings.Contains(open.Row(), "ongoing") {
		t.Errorf("%+v, %v", open, err)
	}
	if _, err := a.Explain("19990101"); !errors.Is(err, spool.ErrNoIncident) {
		t.Errorf("%v", err)
	}
	listed := func(err error) bool {
		rows := strings.Split(fmt.Sprint(err), "\n  ")
		return errors.Is(err, spool.ErrAmbiguous) && len(rows) == 4 && strings.HasPrefix(rows[1], h[0].ID) && strings.HasPrefix(rows[2], h[1].ID)
	}
	if _, err := a.Explain(h[0].ID[:2]); !listed(err) { // one stands, two are over
		t.Errorf("%v", err)
	}
	defer func() {
		if _, err := spool.ReadIncident(dir, h[0].ID[:2]); !listed(err) {
			t.Errorf("from the disk: %v", err)
		}
		if inc, err := spool.ReadIncident(dir, h[0].ID); err != nil || inc.ID != h[0].ID {
			t.Errorf("from the disk: %+v, %v", inc, err)
		}
	}()
	if _, err := spool.ReadHistory(dir, 10); err == nil {
		t.Error("read past the running daemon")
	}
	a.stop()
	offline, err := spool.ReadHistory(dir, 10)
	if err != nil || len(offline) != 3 || offline[0].ID != h[0].ID {
		t.Errorf("%+v, %v", offline, err)
	}
	if got, err := spool.ReadIncident(dir, h[1].ID); err != nil || got.Text() != inc.Text() {
		t.Errorf("%v\n%s", err, got.Text())
	}
	if got, err := spool.ReadIncident(dir, h[0].ID); err != nil || got.ID != h[0].ID {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := spool.ReadIncident(dir, "x"); !errors.Is(err, spool.ErrNoIncident) {
		t.Errorf("%v", err)
	}
}

// A receiver hears what a full spool cost it before it hears anything else.
func TestDropsAreTold(t *testing.T) {
	b := alerttest.NewInbox(t)
	b.Set(alerttest.Always(503))
	cfg := DefaultConfig()
	cfg.SpoolMax, cfg.FlapCount = 4<<20, 0
	r := quick("r", notify.TypeJSON, b.URL)
	r.RetryMin, r.RetryMax = unit.Of(500*time.Millisecond), unit.Of(time.Second)
	cfg.Receivers = []notify.Receiver{r}
	a := startWith(t, t.TempDir(), cfg)
	c := alerttest.Condition(watchdog.LinkDown, "eth1", watchdog.Critical)
	r900 := rand.New(rand.NewPCG(1, 2))
	for n := 0; a.receiver("r").Dropped == 0; n++ {
		for c.Evidence = ""; len(c.Evidence) < 900; { // that cannot be packed
			c.Evidence += strconv.FormatUint(r900.Uint64(), 36)
		}
		a.pair(c)
		if n%200 == 0 {
			alerttest.Eventually(t, "spooled", func() bool { return a.Status().Spool.Unwrit < 500 })
		}
		if n > 20000 {
			t.Fatal("nothing is dropped")
		}
	}
	alerttest.Eventually(t, "settled", func() bool { return a.Status().Spool.Unwrit == 0 })
	failed := a.receiver("r").Failed
	alerttest.Eventually(t, "an attempt that began after the loss", func() bool { return a.receiver("r").Failed >= failed+2 })
	b.Set(nil)
	alerttest.Eventually(t, "all that is left", func() bool { st := a.receiver("r"); return st.Pending == 0 && st.Sent > 0 })
	got := b.Got()
	if st := a.receiver("r"); st.Sent < 300 { // of 2 kB each in pages of 4 kB
		t.Errorf("%d dropped and only %d kept", st.Dropped, st.Sent)
	}
	if got[0].Kind != incident.Dropped || got[0].Dropped.Count != a.receiver("r").Dropped || got[0].Dropped.From.After(got[0].Dropped.To) {
		t.Errorf("first %+v", got[0])
	}
	for _, ev := range got[1:] {
		if ev.Kind == incident.Dropped {
			t.Errorf("told twice: %+v", ev)
		}
	}
}

// Where the state directory cannot be used, alerts go out of memory, and to
// disk when it can be used again.
func TestNoDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocker := dir + "/state"
	if err := os.WriteFile(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := alerttest.NewInbox(t)
	a := start(t, blocker, quick("r", notify.TypeJSON, b.URL))
	if a.Status().Spool.Err == "" {
		t.Error("no word of the missing disk")
	}
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "sent from memory", func() bool { return len(b.Got()) == 1 })
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	a.clear(alerttest.Saturated)
	alerttest.Eventually(t, "on disk", func() bool { return a.Status().Spool.Err == "" && a.Status().Spool.History == 1 })
	alerttest.Eventually(t, "the end", func() bool { return len(b.Got()) == 2 })
}

func TestUnknownReceiverIsKept(t *testing.T) {
	b := alerttest.NewInbox(t)
	b.Set(alerttest.Always(503))
	dir := t.TempDir()
	a := start(t, dir, quick("old", notify.TypeJSON, b.URL))
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "spooled", func() bool { return a.receiver("old").Pending == 1 && a.Status().Spool.Unwrit == 0 })
	a.stop()
	a = start(t, dir)
	if st := a.receiver("old"); st.Pending != 1 || st.Type != "" {
		t.Errorf("%+v", st)
	}
	a.stop()
	b.Set(nil)
	a = start(t, dir, quick("old", notify.TypeJSON, b.URL))
	alerttest.Eventually(t, "delivered after all", func() bool { return len(b.Got()) == 1 })
	a.stop()
}

// queued lists what waits for a receiver, in the order of sending.
func queued(t *testing.T, s *spool.Spool, receiver string) (evs []incident.Event) {
	t.Helper()
	for from := uint64(0); ; {
		it, ok, err := s.Next(receiver, from, func(uint64) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return evs
		}
		ev, err := it.Event()
		if err != nil {
			t.Fatal(err)
		}
		evs = append(evs, ev)
		from = it.Seq + 1
	}
}

// The same through a spool: the disk is what knows who was told.
func TestReceiverThatIsAddedOnDisk(t *testing.T) {
	t.Parallel()
	dir, old, added := t.TempDir(), alerttest.NewInbox(t), alerttest.NewInbox(t)
	r := start(t, dir, quick("old", notify.TypeJSON, old.URL))
	stand := []watchdog.Condition{alerttest.Condition(watchdog.LinkDown, "eth1", watchdog.Critical)}
	r.Take(time.Now(), stand, nil)
	alerttest.Eventually(t, "the first is told", func() bool { return len(old.Got()) == 1 })
	r.stop()
	r = start(t, dir, quick("old", notify.TypeJSON, old.URL), quick("added", notify.TypeJSON, added.URL))
	r.Take(time.Now(), stand, nil)
	alerttest.Eventually(t, "the second is told", func() bool { return len(added.Got()) == 1 })
	if ev := added.Got()[0]; ev.Kind != incident.Firing || ev.Incident.Sequence != 2 {
		t.Errorf("%s, sequence %d", ev.Kind, ev.Incident.Sequence)
	}
	r.Take(time.Now(), nil, nil)
	alerttest.Eventually(t, "both hear of its end", func() bool { return len(added.Got()) == 2 && len(old.Got()) == 2 })
}

// laterThan waits until the clock is a millisecond past a time.
func laterThan(t *testing.T, at time.Time) {
	t.Helper()
	alerttest.Eventually(t, "the clock goes on", func() bool { return time.Since(at) > time.Millisecond })
}
