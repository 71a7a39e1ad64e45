package alert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/unit"
)

// closedPort is where nobody listens.
func closedPort(t *testing.T) string {
	b := alerttest.NewInbox(t)
	b.Close()
	return b.URL
}

// answers waits until every receiver has answered a test alert.
func (r *running) answers(id string) map[string]notify.Answer {
	r.t.Helper()
	out := map[string]notify.Answer{}
	alerttest.Eventually(r.t, "all answer", func() bool {
		as, err := r.Answers(id)
		for _, a := range as {
			out[a.Receiver] = a
			if !a.Answered() {
				return false
			}
		}
		return err == nil
	})
	return out
}

// What receivers answer to a test alert is what the person hears who asked for it.
func TestAnswersToATestAlert(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "template")
	if err := os.WriteFile(file, []byte(`{{if not .Test}}{"text": {{json .Summary}}}{{end}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	good, bad, ill, mute := alerttest.NewInbox(t), alerttest.NewInbox(t), alerttest.NewInbox(t), alerttest.NewInbox(t)
	bad.Set(alerttest.Always(403))
	ill.Set(alerttest.Always(503))
	silentOne := quick("silent", notify.TypeTemplate, mute.URL)
	silentOne.TemplateFile = file
	a := start(t, dir, quick("good", notify.TypeJSON, good.URL), quick("bad", notify.TypeJSON, bad.URL), quick("ill", notify.TypeJSON, ill.URL),
		quick("gone", notify.TypeJSON, closedPort(t)+"/S3CR3T"), silentOne, quick("switch", notify.TypePing, good.URL))
	id, err := a.Test("")
	if err != nil {
		t.Fatal(err)
	}
	got := a.answers(id)
	for name, want := range map[string]string{
		"good": ": took its begin and its end within ", "bad": ": FAILED: answered 403 Forbidden; it is kept among the dead letters",
		"ill": ": FAILED: answered 503 Service Unavailable; it is kept and tried again", "gone": "connection refused; it is kept and tried again",
		"silent": ": NOT SENT: its template writes nothing for a test alert", "switch": ": not tested: receivers of type",
	} {
		if row := got[name].Row(); !strings.Contains(row, want) || strings.Contains(row, "S3CR3T") {
			t.Errorf("%s, want %q", row, want)
		}
		if well := name == "good" || name == "switch"; got[name].Well() != well {
			t.Errorf("%s: well is %t", name, !well)
		}
	}
	alerttest.Eventually(t, "the history has who took it", func() bool {
		inc, err := a.Explain(id)
		return err == nil && len(inc.Told) == 2 && inc.Told[0].Receiver == "good" && inc.Told[1].Receiver == "good"
	})
	if _, err := a.Answers("20200101"); !errors.Is(err, spool.ErrNoIncident) {
		t.Errorf("%v", err)
	}
}

// A person who asks does not wait for a pause to end that was only a guess.
func TestATestAlertEndsAPause(t *testing.T) {
	t.Parallel()
	b := alerttest.NewInbox(t)
	b.Set(alerttest.Always(503))
	r := quick("r", notify.TypeJSON, b.URL)
	r.RetryMin, r.RetryMax = unit.Of(time.Hour), unit.Of(time.Hour)
	a := start(t, t.TempDir(), r)
	a.raise(alerttest.Down)
	alerttest.Eventually(t, "it pauses", func() bool { return a.receiver("r").Failed == 1 })
	b.Set(nil)
	id, err := a.Test("r")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.answers(id)["r"]; !got.Well() {
		t.Errorf("%s", got.Row())
	}
}
