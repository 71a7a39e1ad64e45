package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/unit"
)

// realAlertmanager is Debian's Alertmanager, on loopback for the length of a
// test.
type realAlertmanager struct {
	t    *testing.T
	url  string
	hook *behind
}

// behind is a webhook receiver behind an Alertmanager.
type behind struct {
	*httptest.Server
	mu    sync.Mutex
	notes []note
}

// hookAlert is an alert as Alertmanager tells of it.
type hookAlert struct {
	Status              incident.Status
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
}

// note is one notification of Alertmanager's.
type note struct {
	at   time.Time
	body struct{ Alerts []hookAlert }
}

func (b *behind) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var n note
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &n.body) != nil {
		return // a test that waits for it fails
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n.at = time.Now()
	b.notes = append(b.notes, n)
}

// told gives the first notification of an alert's state, and when it came. What
// an alert is called is its name, and its severity where that is named.
func (b *behind) told(alert string, status incident.Status) (a hookAlert, at time.Time) {
	name, severity, _ := strings.Cut(alert, "/")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.notes {
		for _, a := range n.body.Alerts {
			if a.Labels["alertname"] == name && a.Status == status && (severity == "" || a.Labels["severity"] == severity) {
				return a, n.at
			}
		}
	}
	return a, at
}

// program finds one of the package's programs; upstream names the daemon
// without Debian's prefix.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed: install Debian's prometheus-alertmanager", names[0])
	return ""
}

// newAlertmanager starts an Alertmanager; timing is what its route says of
// group_wait and group_interval, empty for the defaults.
func newAlertmanager(t *testing.T, timing string) *realAlertmanager {
	t.Helper()
	daemon := program(t, "prometheus-alertmanager", "alertmanager")
	program(t, "amtool")
	am := &realAlertmanager{t: t, hook: &behind{}}
	am.hook.Server = httptest.NewServer(am.hook)
	t.Cleanup(am.hook.Close)
	dir := t.TempDir()
	config := fmt.Sprintf("route:\n  receiver: hook\n%sreceivers:\n- name: hook\n  webhook_configs:\n  - url: %s\n", timing, am.hook.URL)
	if err := os.WriteFile(filepath.Join(dir, "am.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddress(t)
	am.url = "http://" + addr
	cmd := exec.Command(daemon, "--config.file="+filepath.Join(dir, "am.yml"), "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--cluster.listen-address=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("Alertmanager:\n%s", out.String())
		}
	})
	alerttest.Eventually(t, "Alertmanager is ready", func() bool {
		resp, err := http.Get(am.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return am
}

// freeAddress is one of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// amAlert is an alert as amtool prints it.
type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	Fingerprint string            `json:"fingerprint"`
	State       struct {
		State string `json:"state"`
	} `json:"status"`
}

// query asks by amtool for the alerts that fire and fit the matchers.
func (am *realAlertmanager) query(matchers ...string) (out []amAlert) {
	am.t.Helper()
	args := append([]string{"--alertmanager.url=" + am.url, "-o", "json", "alert", "query"}, matchers...)
	ctx, cancel := context.WithTimeout(am.t.Context(), 20*time.Second)
	defer cancel()
	raw, err := exec.CommandContext(ctx, "amtool", args...).Output()
	if err != nil {
		am.t.Fatalf("amtool %v: %v", args, err)
	}
	alerttest.MustDecode(am.t, raw, &out)
	return out
}

// receiver is the Alertmanager as a receiver of ours.
func (am *realAlertmanager) receiver() notify.Receiver {
	r := quick("am", notify.TypeAlertmanager, am.url)
	r.Labels = map[string]string{"site": "fra1"}
	return r
}

// Alerts are at Alertmanager as they fire, change and end, and whoever is
// behind it is told of both ends of an incident that was over long before its
// first notification.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	am := newAlertmanager(t, "  group_wait: 2s\n  group_interval: 4s\n")
	r := am.receiver()
	r.GroupWait, r.GroupInterval, r.Resend = unit.Of(2*time.Second), unit.Of(4*time.Second), unit.Of(2*time.Second)
	a := start(t, t.TempDir(), r)

	a.raise(alerttest.Down) // stands throughout
	a.raise(alerttest.Saturated)
	var got []amAlert
	alerttest.Eventually(t, "it fires", func() bool { got = am.query("alertname=LinkSaturated"); return len(got) == 1 })
	for k, want := range map[string]string{"severity": "warning", "subject": "eth0 rx", "link": "eth0", "direction": "rx",
		"instance": "h", "job": "lifeline", "site": "fra1"} {
		if v := got[0].Labels[k]; v != want {
			t.Errorf("label %s: %q, want %q", k, v, want)
		}
	}
	if got[0].Fingerprint != notify.Fingerprint(got[0].Labels) {
		t.Errorf("Alertmanager's fingerprint %s, ours %s", got[0].Fingerprint, notify.Fingerprint(got[0].Labels))
	}
	if got[0].Annotations["description"] != "because" || !strings.HasSuffix(got[0].Annotations["summary"], "link eth0 rx saturated") {
		t.Errorf("annotations %v", got[0].Annotations)
	}

	worse := alerttest.Saturated
	worse.Severity = watchdog.Critical
	began := a.stand[1].Since
	a.stand[1] = worse
	a.Take(time.Now(), a.stand, nil)
	alerttest.Eventually(t, "it is critical, and that alone", func() bool {
		got = am.query("alertname=LinkSaturated")
		return len(got) == 1 && got[0].Labels["severity"] == "critical"
	})
	if !got[0].StartsAt.Equal(incident.Timestamp(began)) {
		t.Errorf("starts at %s, began %s", got[0].StartsAt, began)
	}
	ended := time.Now()
	a.clear(worse)
	alerttest.Eventually(t, "its end is held", func() bool { return a.receiver("am").Held == 1 })
	if len(am.query("alertname=LinkSaturated")) != 1 {
		if fired, _ := am.hook.told("LinkSaturated/critical", incident.StatusFiring); fired.Labels == nil {
			t.Error("it is over at Alertmanager before anybody was told of it")
		}
	}
	alerttest.Eventually(t, "both ends are told", func() bool { return am.toldBoth("LinkSaturated/critical") })
	over, _ := am.hook.told("LinkSaturated/critical", incident.StatusResolved)
	if at, err := time.Parse(time.RFC3339, over.Annotations["ended"]); err != nil || at.Before(ended.Add(-2*time.Second)) || at.After(ended.Add(2*time.Second)) {
		t.Errorf("it is told to have ended at %q, it did at %s; %v", over.Annotations["ended"], ended, err)
	}

	if len(am.query("alertname=LinkDown")) != 1 {
		t.Error("what still stands is not there any more")
	}
	a.stop() // nobody posts again: it ends by itself
	alerttest.Eventually(t, "what nobody posts expires", func() bool { return len(am.query()) == 0 })
}

// toldBoth tells whether begin and end of an alert were told behind.
func (am *realAlertmanager) toldBoth(alert string) bool {
	fired, _ := am.hook.told(alert, incident.StatusFiring)
	over, _ := am.hook.told(alert, incident.StatusResolved)
	return fired.Labels != nil && over.Labels != nil
}

// With every default, in Lifeline and in Alertmanager, an incident of 20 s is
// told at both ends, also where the group exists already. It takes a quarter of
// an hour: `make soak-alerts` sets the variable.
func TestAlertmanagerSoak(t *testing.T) {
	if os.Getenv("LIFELINE_SOAK") == "" {
		t.Skip("takes a quarter of an hour: `make soak-alerts` runs it")
	}
	t.Parallel()
	am := newAlertmanager(t, "")
	a := start(t, t.TempDir(), am.receiver())
	incident := func(c watchdog.Condition) {
		began := time.Now()
		a.raise(c)
		time.Sleep(20 * time.Second)
		a.clear(c)
		for deadline := began.Add(13 * time.Minute); !am.toldBoth(string(c.Name)); time.Sleep(time.Second) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: both ends are not told", c.Name)
			}
		}
		_, fired := am.hook.told(string(c.Name), incident.StatusFiring)
		over, resolved := am.hook.told(string(c.Name), incident.StatusResolved)
		t.Logf("%s of 20 s: told after %s, its end after %s, as of %s", c.Name, incident.FormatDuration(fired.Sub(began)), incident.FormatDuration(resolved.Sub(began)), over.Annotations["ended"])
	}
	incident(alerttest.Saturated) // opens the group
	incident(alerttest.Blind)     // comes into it
}
