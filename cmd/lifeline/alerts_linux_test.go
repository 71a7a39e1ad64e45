package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/lab"
)

// collector is a receiver of type "json" on a host of the lab.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	events []incident.Event
	at     []time.Time
	hold   chan struct{} // while open, answers wait
}

// collect listens on a host of the lab; the address is free in every new one.
func collect(t *testing.T, l *lab.Lab, h *lab.Host) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var ev incident.Event
		if err := json.NewDecoder(r.Body).Decode(&ev); err != nil {
			t.Errorf("a request that is no event: %v", err)
			return
		}
		c.mu.Lock()
		c.events, c.at = append(c.events, ev), append(c.at, time.Now())
		hold := c.hold
		c.mu.Unlock()
		if hold != nil {
			<-hold
		}
	}))
	err := h.Do(func() (err error) {
		c.Listener, err = net.Listen("tcp", receiverAddress)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	t.Cleanup(c.Close)
	return c
}

const receiverAddress = "10.77.0.3:8080" // the administrator's machine

// toReceiver is the configuration of one receiver there.
const toReceiver = `
[[receiver]]
name = "ops"
type = "json"
url = "http://` + receiverAddress + `/"
timeout = "2s"
retry_max = "5s"
`

func (c *collector) got() []incident.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]incident.Event(nil), c.events...)
}

// told finds the first event of a kind that names a condition.
func (c *collector) told(kind incident.Kind, name watchdog.ConditionName) (incident.Event, bool) {
	for _, ev := range c.got() {
		for _, s := range ev.Conditions {
			if ev.Kind == kind && s.Condition == name {
				return ev, true
			}
		}
	}
	return incident.Event{}, false
}

// An incident during which nothing reaches the receiver is told afterwards: in
// order, nothing lost, nothing twice, as of the time when it happened.
func TestAlertsAfterADeadPath(t *testing.T) {
	t.Parallel() // it mostly waits
	deadPath(t, 6*time.Second)
}

// The same for a minute: `make soak-alerts`.
func TestAlertsAfterADeadPathSoak(t *testing.T) {
	if os.Getenv("LIFELINE_SOAK") == "" {
		t.Skip("takes two minutes: `make soak-alerts` runs it")
	}
	deadPath(t, time.Minute)
}

func deadPath(t *testing.T, dead time.Duration) {
	s := setStage(t, lab.Options{}, toReceiver)
	c := collect(t, s.lab, s.lab.Mgmt)
	cut := time.Now()
	if err := s.lab.Srv.SetCarrier(false); err != nil {
		t.Fatal(err)
	}
	s.until("the incident stands", func() bool { return s.stands(watchdog.LinkDown) })
	time.Sleep(time.Until(cut.Add(dead)))
	for _, ev := range c.got() {
		if ev.Kind == incident.Firing && ev.At.After(cut) {
			t.Errorf("told through a dead path: %+v", ev)
		}
	}
	mended := time.Now()
	if err := s.lab.Srv.SetCarrier(true); err != nil {
		t.Fatal(err)
	}
	var end incident.Event
	s.until("the end is told", func() (ok bool) { end, ok = c.told(incident.Resolved, watchdog.LinkDown); return ok })

	var mine []incident.Event
	for _, ev := range c.got() {
		if ev.Incident != nil && ev.Incident.ID == end.Incident.ID {
			mine = append(mine, ev)
		}
	}
	for n, ev := range mine {
		if ev.Incident.Sequence != n+1 {
			t.Errorf("event %d is %s: lost, twice or out of order", n+1, ev.ID)
		}
	}
	if first := mine[0]; first.Kind != incident.Firing || first.At.Before(cut.Add(-time.Second)) || first.At.After(cut.Add(patience)) || !first.At.Before(mended) {
		t.Errorf("first %+v, cut at %s", first, cut)
	}
	s.until("every delivery is in the history", func() bool {
		inc, err := s.client().Explain(t.Context(), end.Incident.ID)
		return err == nil && len(inc.Told) == len(mine)
	})
	t.Logf("dead for %s: %d events in order; the first, of %s, arrived %s after the path was back", dead, len(mine),
		mine[0].At.Format(time.TimeOnly), c.at[0].Sub(mended).Round(time.Millisecond))
}

// The sockets of delivery are nobody's transfers: while sixteen of those are
// held, they are not.
func TestDeliveryIsNeverLimited(t *testing.T) {
	s := setStage(t, lab.Options{}, toReceiver)
	c := collect(t, s.lab, s.lab.Mgmt)
	c.hold = make(chan struct{})
	t.Cleanup(func() { close(c.hold) })
	s.start(lab.Transfers{N: 16, Dir: lab.Push})
	s.limitAndPause(16)
	if _, err := s.client().TestAlert(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	s.until("a delivery is under way", func() bool { return len(c.got()) > 0 })
	if err := unlimited(s); err != nil {
		t.Error(err)
	}
}

// unlimited looks at the daemon's socket to the receiver.
func unlimited(s *stage) error {
	var socks []*netlink.Socket
	err := s.lab.Srv.Do(func() (err error) {
		socks, err = netlink.SocketDiagTCP(unix.AF_INET)
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range socks {
		if k.ID.DestinationPort != 8080 || k.INode == 0 {
			continue
		}
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.daemon.Pid()))
		if err != nil {
			return err
		}
		for _, fd := range fds {
			at, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", s.daemon.Pid(), fd.Name()))
			if err == nil && at == fmt.Sprintf("socket:[%d]", k.INode) {
				return free(s.daemon.Pid(), fd.Name())
			}
		}
	}
	return fmt.Errorf("the daemon's socket to the receiver is not found among %d", len(socks))
}

// free says what limits a process's socket.
func free(pid int, fd string) error {
	var n int
	if _, err := fmt.Sscan(fd, &n); err != nil {
		return err
	}
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(p)
	k, err := unix.PidfdGetfd(p, n, 0)
	if err != nil {
		return err
	}
	defer unix.Close(k)
	clamp, pace, prio, err := limitsOf(k)
	if err != nil {
		return err
	}
	if clamp < leastFree || uint32(pace) != ^uint32(0) || prio != 0 {
		return fmt.Errorf("window clamp %d, pacing rate %d, priority %d", clamp, pace, prio)
	}
	return nil
}
