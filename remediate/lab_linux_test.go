package remediate

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"lifeline/probes/rsync"
	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/lab"
)

// site is a lab with an rsync probe that shows the server's transfers.
type site struct {
	*lab.Lab
	t     *testing.T
	probe *rsync.Probe
	begin time.Time
	netns uint64
	seen  map[watchdog.TransferID]watchdog.Transfer
}

func newSite(t *testing.T, o lab.Options) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the lab needs root")
	}
	l, err := lab.New(t.Context(), o)
	if err != nil {
		t.Skipf("no lab on this machine: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := rsync.New(rsync.Options{ForeignNetns: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	ns, _ := l.Srv.Netns()
	return &site{Lab: l, t: t, probe: p, begin: time.Now(), netns: ns, seen: map[watchdog.TransferID]watchdog.Transfer{}}
}

// sample lists the transfers at the server.
func (s *site) sample() (out []watchdog.Transfer) {
	all, _, _ := s.probe.Sample(time.Since(s.begin), false)
	for _, x := range all {
		if x.Socket.Netns == s.netns {
			out = append(out, x)
			s.seen[x.ID] = x
		}
	}
	return out
}

// start starts n transfers of each kind, all with --timeout=10.
func (s *site) start(n int) (all lab.Batch) {
	s.t.Helper()
	for _, via := range []lab.Via{lab.ViaDaemon, lab.ViaSSH} {
		for _, dir := range []lab.Direction{lab.Push, lab.Pull} {
			b, err := s.Start(s.t.Context(), lab.Transfers{Dir: dir, Via: via, N: n, Timeout: 10 * time.Second})
			if err != nil {
				s.t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	return all
}

// ended says whether all have ended.
func ended(b lab.Batch) bool {
	for _, x := range b {
		select {
		case <-x.Done():
		default:
			return false
		}
	}
	return true
}

// finish frees everything and waits until the transfers have ended well.
func (s *site) finish(e *live, b lab.Batch) {
	s.t.Helper()
	roletest.EventuallyIn(s.t, 2*time.Minute, "the transfers end", func() bool {
		e.Apply(s.t.Context(), watchdog.Desired{}, s.sample())
		time.Sleep(50 * time.Millisecond)
		return ended(b)
	})
	for _, x := range b {
		if err := x.Wait(); err != nil {
			s.t.Errorf("a transfer was lost: %v", err)
		}
	}
	if err := s.VerifyChecksums(s.t.Context()); err != nil {
		s.t.Error(err)
	}
	roletest.Eventually(s.t, "the ledger is empty", func() bool {
		e.Apply(s.t.Context(), watchdog.Desired{}, s.sample())
		return len(e.l.Live()) == 0
	})
}

// A pause of half a minute, three times the timeout of both ends.
func TestPausedTransfersOutliveTheirTimeouts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	s := newSite(t, lab.Options{Rate: 400e6, Queue: 8 << 20, Files: 1, FileSize: 96 << 20, RsyncdTimeout: 10 * time.Second})
	b := s.start(2)
	roletest.Eventually(t, "all transfers are seen", func() bool {
		n := 0
		for _, x := range s.sample() {
			if x.Control == watchdog.ControlFull {
				n++
			}
		}
		return n == len(b)
	})
	e := newLive(t, Settings{})
	pulses := map[watchdog.TransferID]int{}
	was := map[watchdog.TransferID]bool{}
	stoppedAt := map[watchdog.TransferID]uint64{}
	var into []uint64 // bytes that a stopped daemon's receiver was sent, by hold
	held, ticks := 0, 0
	for end := time.Now().Add(31 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		want := watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{}}
		transfers := s.sample()
		for _, x := range transfers {
			want.Limits[x.ID] = watchdog.Limit{Pause: true}
		}
		o := e.Apply(t.Context(), want, transfers)
		noFails(t, o)
		for _, x := range transfers {
			switch {
			case was[x.ID] && !o.Stopped[x.ID]:
				pulses[x.ID]++
				if x.Via == watchdog.ViaDaemon && x.Direction == watchdog.Rx && pulses[x.ID] > 1 {
					into = append(into, e.subjects[x.ID].pulseStart.Received-stoppedAt[x.ID])
				}
			case !was[x.ID] && o.Stopped[x.ID]:
				_ = sockopt.VisitOnce(x.Socket, func(fd int) error { // one that has ended is not counted
					c, err := sockopt.Inspect(fd)
					stoppedAt[x.ID] = c.Received
					return err
				})
			}
			was[x.ID] = o.Stopped[x.ID]
			ticks++
			if o.Stopped[x.ID] {
				held++
			}
		}
		if ended(b) {
			break
		}
	}
	for id, n := range pulses {
		t.Logf("%s %s %s: %d pulses, timeout known %v", id, s.seen[id].Via, s.seen[id].Direction, n, s.seen[id].Timeout)
	}
	slices.Sort(into)
	t.Logf("stopped %.0f %% of the time; bytes into a stopped receiver, by hold: %d", 100*float64(held)/float64(ticks), into)
	if n := len(into); n > 0 && into[n/2] > 1<<20 {
		t.Errorf("half of the holds let more than %d bytes in", into[n/2])
	}
	if 2*held < ticks {
		t.Error("the pause did not hold")
	}
	s.finish(e, b)
}

// Whatever is done to them, in whatever order: every file arrives as it was.
func TestTransfersSurviveAnySequence(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	s := newSite(t, lab.Options{Rate: 400e6, Queue: 8 << 20, Files: 3, FileSize: 24 << 20, RsyncdTimeout: 10 * time.Second})
	b := s.start(3)
	e := newLive(t, Settings{Budget: Budget{PausesPerHour: 1000}})
	r := rand.New(rand.NewPCG(3, 5))
	want := watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{}}
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end) && !ended(b); {
		transfers := s.sample()
		for _, x := range transfers {
			if r.IntN(8) > 0 {
				continue
			}
			want.Limits[x.ID] = watchdog.Limit{
				Window: int64(r.IntN(2)) * (4000 + r.Int64N(60000)),
				Pacing: float64(r.IntN(2)) * (1e5 + 1e6*r.Float64()),
				Pause:  r.IntN(3) == 0,
			}
		}
		noFails(t, e.Apply(t.Context(), want, transfers))
		time.Sleep(time.Duration(20+r.IntN(150)) * time.Millisecond)
	}
	s.finish(e, b)
}
