package alert

import (
	"bufio"
	"context"
	"fmt"
	"io"
	rand "math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
)

const killChild = "LIFELINE_KILL_CHILD" // directory and URL, in the process that is killed

// Whenever the process is killed, every alert arrives: 1,000 of them, 50 kills.
// What stands in the world stands on when the process does not run, as it does
// for a real one; a state of the world counts as seen when it is on disk.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	const alerts, kills, atOnce = 1000, 50, 5
	b := alerttest.NewInbox(t)
	w := &world{t: t, dir: t.TempDir(), url: b.URL, r: rand.New(rand.NewPCG(1, 2))}
	defer w.end()
	raised := 0
	for ; raised < alerts || w.kills < kills; raised += atOnce {
		var stand []string
		for i := range atOnce {
			stand = append(stand, fmt.Sprintf("link%d", raised+i))
		}
		w.be(stand, w.kills < kills)
		w.be(nil, w.kills < kills)
	}
	defer func() {
		if t.Failed() {
			t.Logf("%d kills, the last process lives: %t; without an end: %v", w.kills, w.cmd != nil, endless(t, b.Got(), raised))
		}
	}()
	alerttest.Eventually(t, "all ends are told", func() bool { return len(inOrder(t, b.Got())) == raised })
	doubles := len(b.Got())
	for subject, evs := range inOrder(t, b.Got()) {
		doubles -= len(evs)
		if evs[0].Kind != incident.Firing || evs[len(evs)-1].Kind != incident.Resolved {
			t.Errorf("%s: %v", subject, kinds(evs))
		}
	}
	t.Logf("%d kills during %d alerts: none lost, %d events told twice under the same id", w.kills, raised, doubles)
}

// inOrder gives the events of every subject whose end was told, without
// doubles. A double is the same event; within an incident events only rise.
func inOrder(t *testing.T, all []incident.Event) map[string][]incident.Event {
	t.Helper()
	out := map[string][]incident.Event{}
	ended := map[string]bool{}
	for _, ev := range all {
		s := ev.Conditions[0].Subject
		if i := slices.IndexFunc(out[s], func(o incident.Event) bool { return o.ID == ev.ID }); i >= 0 {
			if out[s][i].Kind != ev.Kind || !out[s][i].At.Equal(ev.At) {
				t.Fatalf("one id, two events: %+v and %+v", out[s][i], ev)
			}
			continue
		}
		if n := len(out[s]); n > 0 && (out[s][n-1].Incident.ID != ev.Incident.ID || out[s][n-1].Incident.Sequence >= ev.Incident.Sequence) {
			t.Fatalf("%s: %s after %s", s, ev.ID, out[s][n-1].ID)
		}
		out[s] = append(out[s], ev)
		ended[s] = ended[s] || ev.Kind == incident.Resolved
	}
	for s := range out {
		if !ended[s] {
			delete(out, s)
		}
	}
	return out
}

// endless lists the subjects whose end was not told, with the events that were.
func endless(t *testing.T, all []incident.Event, raised int) (out []string) {
	told := inOrder(t, all)
	for n := range raised {
		s := fmt.Sprintf("link%d", n)
		if told[s] != nil {
			continue
		}
		for _, ev := range all {
			if ev.Conditions[0].Subject == s {
				s += " " + ev.ID
			}
		}
		out = append(out, s)
	}
	return out
}

// world is what a process looks at, and who kills it.
type world struct {
	t        *testing.T
	dir, url string
	r        *rand.Rand
	kills    int

	cmd  *exec.Cmd
	to   io.WriteCloser
	from *bufio.Scanner
}

// be makes these subjects stand, and waits until a process has that on disk;
// on its way it may be killed.
func (w *world) be(stand []string, kill bool) {
	w.t.Helper()
	for range 100 {
		if w.cmd == nil {
			w.start()
		}
		cmd := w.cmd
		var timer *time.Timer
		if kill && w.r.IntN(3) == 0 {
			timer = time.AfterFunc(time.Duration(w.r.IntN(6000))*time.Microsecond, func() { cmd.Process.Kill() })
		}
		_, err := fmt.Fprintln(w.to, strings.Join(stand, " "))
		seen := err == nil && w.from.Scan()
		if timer != nil && !timer.Stop() || !seen {
			w.kills++
			w.end()
		}
		if seen {
			return
		}
	}
	w.t.Fatal("no process lives long enough")
}

func (w *world) start() {
	w.t.Helper()
	w.cmd = exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	w.cmd.Env = append(os.Environ(), killChild+"="+w.dir+" "+w.url)
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if w.to, err = w.cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	w.from = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) end() {
	if w.cmd != nil {
		w.cmd.Process.Kill()
		w.cmd.Wait() // it was killed
		w.cmd = nil
	}
}

// TestKillChild is the process that is killed: it looks at the world that
// comes in and tells when it has it on disk.
func TestKillChild(t *testing.T) {
	dir, url, ok := strings.Cut(os.Getenv(killChild), " ")
	if !ok {
		t.Skip("is run by TestKilledAtAnyMoment")
	}
	cfg := DefaultConfig()
	cfg.Host, cfg.Receivers = "h", []notify.Receiver{quick("r", notify.TypeJSON, url)}
	a, err := open(dir, cfg, alerttest.Silent(), unsyncedDisk) // what was written outlives the process all the same
	if err != nil {
		t.Fatal(err)
	}
	a.life.Grace = 20 * time.Millisecond
	go a.Run(context.Background())
	var stand []watchdog.Condition
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var now []watchdog.Condition
		var changes []watchdog.Change
		for _, s := range strings.Fields(in.Text()) {
			c := alerttest.Condition(watchdog.LinkDown, s, watchdog.Critical)
			now = append(now, c)
			changes = append(changes, watchdog.Change{Condition: c, Raised: true})
		}
		for _, c := range stand {
			if !slices.Contains(now, c) {
				changes = append(changes, watchdog.Change{Condition: c})
			}
		}
		stand = now
		for ; !a.holds(stand); time.Sleep(time.Millisecond) {
			a.Take(time.Now(), stand, changes)
			changes = nil
		}
		fmt.Println("seen")
	}
}

// holds tells whether exactly these conditions stand, on disk.
func (a *Alerts) holds(stand []watchdog.Condition) bool {
	a.mu.Lock()
	open := len(a.life.Incidents)
	a.mu.Unlock()
	return open == len(stand) && a.spool.Status().Unwrit == 0 && a.box.quiet()
}

func (b *mailbox) quiet() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.mail.letters) == 0
}
