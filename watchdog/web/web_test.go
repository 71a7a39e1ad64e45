package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/facts"
)

// serve runs the API on a socket for the length of a test.
func serve(t *testing.T, a API) (path string) {
	t.Helper()
	return serveWith(t, a, func(*Server) {})
}

// serveWith does so with a server that is changed before it begins.
func serveWith(t *testing.T, a API, change func(*Server)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s", "control.sock")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := &Server{Path: path, Listener: l, Handler: a.Handler()}
	change(s)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is left behind")
		}
	})
	return path
}

func TestStatusAndPins(t *testing.T) {
	pins := map[watchdog.TransferID]control.Pin{}
	path := serve(t, API{
		Status: func() Status { return sample() },
		Pin: func(id watchdog.TransferID, p control.Pin) (Transfer, error) {
			if id == "t404" {
				return Transfer{}, ErrNoTransfer
			}
			pins[id] = p
			return Transfer{}, nil
		},
	})
	c := NewClient(path)
	st, err := c.Status(t.Context())
	if err != nil || st.Version != "test" || len(st.Transfers) != 1 {
		t.Fatalf("status: %+v, %v", st, err)
	}
	if _, err := c.Pin(t.Context(), "t7", PinRequest{Rate: 1e6}); err != nil || pins["t7"].Rate != 1e6 {
		t.Errorf("pin: %v, %v", pins, err)
	}
	if _, err := c.Pin(t.Context(), "t404", PinRequest{Pause: true}); err == nil || err.Error() != ErrNoTransfer.Error() {
		t.Errorf("pin of nothing: %v", err)
	}
	if _, err := c.Pin(t.Context(), "t7", PinRequest{Rate: -1}); err == nil {
		t.Error("a negative rate was accepted")
	}
}

// A dry run says what would be, and nothing as if it were.
func TestDryRunText(t *testing.T) {
	c := NewClient(serve(t, API{DryRun: true, Status: sample, Pin: func(watchdog.TransferID, control.Pin) (Transfer, error) { return Transfer{}, nil }}))
	if a, err := c.Pin(t.Context(), "t7", PinRequest{Pause: true}); err != nil || !a.DryRun || !a.Pause {
		t.Errorf("%+v, %v", a, err)
	}
	for want, l := range map[string]watchdog.Limit{
		"would limit to window 4 KiB": {Window: 4096}, "would limit to 8.0 Mbit/s": {Pacing: 1e6},
		"would shape window 4 KiB": {Window: 4096, Shape: true}, "would pause": {Window: 4096, Pause: true}, "free": {},
	} {
		st := Status{DryRun: true}
		st.Fill(watchdog.Report{
			Snapshot: watchdog.Snapshot{Transfers: []watchdog.Transfer{{ID: "t7"}}},
			Decision: watchdog.Decision{Desired: watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{"t7": l}}},
		})
		if got := st.Transfers[0].Mechanism; got != want {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
}

// sample is a status with something of everything.
func sample() Status {
	st := Status{Schema: Schema, Version: "test", PID: 7, Started: time.Unix(1000, 0), Guard: "pid 8", Ping: "unprivileged",
		Capabilities: []watchdog.Capability{{Name: "window", Available: true}, {Name: "shaper-ingress", Why: "no ifb", Left: "window"}}}
	st.Fill(watchdog.Report{
		Snapshot: watchdog.Snapshot{
			Wall:  time.Unix(1060, 0),
			Links: []watchdog.Link{{Index: 2, Name: "eth0", Carrier: true, Rates: [2]watchdog.Rates{{Known: true, Bytes: 12.5e6}, {}}}},
			Paths: []watchdog.Path{{Target: netip.MustParseAddr("192.0.2.9"), Why: watchdog.TargetSession, Loss: math.NaN()}},
			Transfers: []watchdog.Transfer{{ID: "t7", Link: 2, Via: watchdog.ViaDaemon, Module: "backup", Rate: 1e6, Bytes: 5 << 20,
				Socket: watchdog.Socket{Remote: netip.MustParseAddrPort("192.0.2.77:4000")},
				File:   watchdog.File{Name: "evil\x1b[2Jname", Pos: 50, Size: 100}}},
		},
		Outcome: watchdog.Outcome{SmallBursts: true},
		Decision: watchdog.Decision{
			Desired:    watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{"t7": {Window: 4096}}},
			Links:      []watchdog.LinkState{{Link: 2, Name: "eth0", Phase: control.Engaged, Capacity: 12.5e6, Transfers: 1}},
			Conditions: []watchdog.Condition{{Name: watchdog.LinkSaturated, Subject: watchdog.DirectionSubject("eth0", watchdog.Rx), Severity: watchdog.Warning, Since: time.Unix(1050, 0), Evidence: "much"}},
		},
	})
	st.Absent = []string{"this host has no link \"eht0\""}
	st.Spent = []watchdog.Spent{{Remedy: "pause", Target: "t7", Used: 1, PerHour: 30}, {Remedy: "pause", Target: "t8", Used: 4, PerHour: 30},
		{Remedy: "shaper", Target: "link eth0 tx", Used: 120, PerHour: 120}}
	st.Control[0].Needless = 3 * time.Minute
	return st
}

func TestText(t *testing.T) {
	var b strings.Builder
	st := sample()
	st.DryRunCounts, st.Journal.Err = &DryRunCounts{Limits: 3, Pauses: 2, Shapers: 1}, "disk full"
	if err := st.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"up 1m0s", "WARNING  LinkSaturated  eth0 rx  for 10s", "100.0 Mbit/s", "unknown", "window 4 KiB",
		"[backup]", "would have limited transfers 3 times, paused them 2 times, made 1 shapers", "the journal is not written: disk full", "50%", "TCP bursts are kept small", `\x1b`,
		"\nthis host has no link \"eht0\"\n",
		"pause   t8            4 of 30 within an hour, and 1 more with less", "shaper  link eth0 tx  120 of 120 within an hour\n", "limits  eth0 rx       3m0s without a sign of need",
		"no: no ifb; left: window", "192.0.2.77"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a file name writes on the terminal")
	}
	st.Journal = facts.Health{Back: time.Date(2026, 1, 2, 12, 3, 4, 0, time.UTC)}
	if err := st.Text(&b); err != nil || !strings.Contains(b.String(), "\nthe journal could not be opened at the start, and is written since 12:03:04\n") {
		t.Errorf("a journal that is back: %v\n%s", err, b.String())
	}
}

func TestListenReplacesOnlyTheDead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatalf("over a dead socket: %v", err)
	}
	defer l.Close()
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := Listen(path, -1); !errors.Is(err, ErrInUse) {
		t.Errorf("over a living socket: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, -1); err == nil {
		t.Error("a file was taken for a socket")
	}
	if b, _ := os.ReadFile(file); string(b) != "keep" {
		t.Error("the file is gone")
	}
}

func TestClientExplains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sock")
	_, err := NewClient(path).Status(t.Context())
	if !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// A client that hangs holds up neither the others nor the end.
func TestHangingClient(t *testing.T) {
	path := serve(t, API{Status: sample})
	for i := range 10 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /v1/status HTTP/1.1\r\nX-%d: ", i)
	}
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnknownRequest(t *testing.T) {
	c := NewClient(serve(t, API{Status: sample}))
	if err := c.do(t.Context(), http.MethodPost, "/v1/nothing", nil, nil); err == nil {
		t.Error("was answered")
	}
	if err := c.do(t.Context(), http.MethodPost, "/v1/transfers/t1/pin", map[string]int{"paws": 1}, nil); err == nil || !strings.Contains(err.Error(), "paws") {
		t.Errorf("an unknown field: %v", err)
	}
}

// LOSS tells the truth of a target that is silent, and says what is not known.
func TestTextLoss(t *testing.T) {
	nan := math.NaN()
	for want, p := range map[string]watchdog.Path{
		"3 %":                              {Answered: true, Known: true, Loss: 0.03},
		"40 %, silent for 12s":             {Answered: true, Loss: 0.4, Silent: 12 * time.Second},
		"unknown":                          {Answered: true, Known: true, Loss: nan},
		"unknown, silent for 2m0s":         {Answered: true, Loss: nan, Silent: 2 * time.Minute},
		"unknown: it has not answered yet": {Loss: nan},
	} {
		if got := loss(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestWish puts into words what became of a rate that was asked for by hand.
func TestWish(t *testing.T) {
	for _, c := range []struct {
		name            string
		dir             watchdog.Direction
		wish            watchdog.RateRequest
		stands          watchdog.Limit
		failed          string
		dry             bool
		words, mechanic string
	}{
		{"held", watchdog.Rx, watchdog.RateRequest{Rate: 1.25e6}, watchdog.Limit{Rate: 1.25e6}, "", false, "is held at 10.0 Mbit/s", "held at 10.0 Mbit/s"},
		{"paced", watchdog.Tx, watchdog.RateRequest{Rate: 1.25e6}, watchdog.Limit{Pacing: 1.25e6}, "", false, "is held at 10.0 Mbit/s", "free"},
		{"less", watchdog.Rx, watchdog.RateRequest{Rate: 1.25e6}, watchdog.Limit{Rate: 1e6}, "", false,
			"is held at 8.0 Mbit/s; asked for 10.0 Mbit/s: the link bears no more for now", "held at 8.0 Mbit/s"},
		{"more", watchdog.Rx, watchdog.RateRequest{Rate: 1000}, watchdog.Limit{Rate: 8000}, "", false,
			"is held at 0.1 Mbit/s; asked for 0.0 Mbit/s: that is the least at which its connection stays alive", "held at 0.1 Mbit/s"},
		{"refused", watchdog.Rx, watchdog.RateRequest{Rate: 1.25e6, Why: "it is off"}, watchdog.Limit{Window: 4096}, "", false,
			"asked for 10.0 Mbit/s; cannot be enforced here: it is off; runs at 45.6 Mbit/s", "free"},
		{"failed", watchdog.Rx, watchdog.RateRequest{Rate: 1.25e6}, watchdog.Limit{}, "no ifb", false,
			"asked for 10.0 Mbit/s; cannot be enforced here: no ifb; runs at 45.6 Mbit/s", "free"},
		{"dry run", watchdog.Rx, watchdog.RateRequest{Rate: 1.25e6}, watchdog.Limit{}, "", true,
			"asked for 10.0 Mbit/s; cannot be enforced here: this is a dry run, and nothing is touched; runs at 45.6 Mbit/s", "free"},
	} {
		st := Status{DryRun: c.dry}
		st.Fill(watchdog.Report{
			Snapshot: watchdog.Snapshot{Transfers: []watchdog.Transfer{{ID: "t7", Direction: c.dir, Rate: 5.7e6}}},
			Decision: watchdog.Decision{RateRequests: map[watchdog.TransferID]watchdog.RateRequest{"t7": c.wish}},
			Outcome: watchdog.Outcome{Limits: map[watchdog.TransferID]watchdog.Limit{"t7": c.stands},
				Unheld: map[watchdog.TransferID]string{"t7": c.failed}},
		})
		x := st.Transfers[0]
		if x.Wish() != c.words || x.Mechanism != c.mechanic || x.Asked != c.wish.Rate {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, x.Wish(), x.Mechanism, c.words, c.mechanic)
		}
		var b strings.Builder
		if err := st.Text(&b); err != nil || strings.Contains(b.String(), "t7 "+c.words+"\n") != (x.Unheld != "") {
			t.Errorf("%s: %v\n%s", c.name, err, b.String())
		}
	}
}
