package rsync

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// discovery is one of a host that a test makes up.
func (h *host) discovery() *discovery {
	p := &Probe{
		opts: Options{Log: slog.New(slog.DiscardHandler)}, proc: procFS{root: h.root}, appeared: make(chan struct{}, 1),
		recheck: make(chan int, 256), files: make(chan []fileRequest, 1), transfers: map[watchdog.TransferID]*transfer{},
		routes: newRoutes(), diag: sockdiag.NewClient(), netns: 1,
	}
	p.sockets = &duplicator{proc: p.proc}
	d := newDiscovery(p)
	d.scan = newScanner(p.proc, h)
	d.scan.events = true
	return d
}

// 2,000 programs that are called rsync and move nothing cost little, once they are known,
// and a new one beside them is known with the next pass.
func TestIdleCrowdIsCheap(t *testing.T) {
	const n = 2000
	h := newHost(t, fake{pid: 1, exe: "systemd"})
	for i := range n {
		h.add(fake{pid: 100 + i, ppid: 1, exe: "rsync", argv: "rsync -a peer::mod/ dst", fds: "0=/dev/null"})
	}
	d := h.discovery()
	for i := range n {
		d.scan.rsyncs[100+i] = struct{}{}
	}
	now := time.Unix(1000, 0)
	work, passes := 0, 0
	run := func(span time.Duration) {
		for end := now.Add(span); now.Before(end); {
			now = now.Add(10 * time.Millisecond)
			if d.rest = now; now.Before(d.next()) { // a rest depends on the machine
				continue
			}
			d.pass(now)
			if most := passWork + processWork + fdsAtOnce*(1+socketWork) + maxInherited; d.scan.work > most {
				t.Fatalf("a pass cost %d, at most %d", d.scan.work, most)
			}
			work, passes = work+d.scan.work, passes+1
		}
	}
	run(20 * time.Second)
	if known := len(d.scan.procs); known < n {
		t.Fatalf("only %d of %d are known", known, n)
	}
	work, passes = 0, 0
	run(20 * time.Second)
	// Each is read every settledFor: processWork and two descriptors' worth.
	if most := 20 / 10 * n * (processWork + 8); work > most {
		t.Errorf("cost %d in 20 s, at most %d", work, most)
	}
	if passes > 20*4+60 {
		t.Errorf("%d passes in 20 s", passes)
	}
	h.add(fake{pid: 90, ppid: 1, exe: "rsync", argv: "rsync -a peer::mod/ dst", fds: "3=socket:[200]"})
	h.conn(200, "10.0.0.1:40000", "10.0.0.9:873")
	d.take([]event{{Kind: eventExec, PID: 90}})
	d.dirty = true
	d.pass(now.Add(10 * time.Millisecond))
	if d.probe.transfers["t200"] == nil {
		t.Error("a new one is not known with the next pass")
	}
}

// Idle transfers are measured in portions: a sample asks for no more of them however many
// there are, each has its turn, and those that move are measured as ever.
func TestIdleTransfersAreMeasuredInPortions(t *testing.T) {
	const n = 2000
	p := &Probe{}
	measured := map[*transfer]int{}
	for i := range n {
		p.order = append(p.order, &transfer{Transfer: watchdog.Transfer{
			Age: time.Hour, Idle: i%100 != 0, Socket: watchdog.Socket{Inode: 1}, TCP: watchdog.TCP{Known: true},
		}})
	}
	samples := 0
	for now := time.Second; now < 20*time.Second; now += 100 * time.Millisecond {
		if p.beginSample(now); !p.whole {
			continue
		}
		p.giveTurns()
		samples++
		asked := 0
		for _, x := range p.order {
			if p.due(x, now) {
				measured[x]++
				asked++
			}
		}
		if asked > idlePerSample+n/100 {
			t.Fatalf("a sample asks for %d", asked)
		}
	}
	for i, x := range p.order {
		if want := map[bool]int{true: samples, false: 1}[i%100 == 0]; measured[x] < want {
			t.Errorf("%d was measured %d times in %d samples", i, measured[x], samples)
		}
	}
}

// An rsync that holds thousands of other sockets is looked at in portions, and its
// transfer is found all the same.
func TestTransferBehindManySockets(t *testing.T) {
	const many = 3000
	s := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var files []*os.File
	for range many {
		pair, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		f, err := pair.File()
		pair.Close()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	c := exec.Command("rsync", "-a", "--bwlimit=1000", s.path("src")+"/", fmt.Sprintf("rsync://%s/dst/7/", daemonAddr))
	c.ExtraFiles = files
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	p := s.probe(Options{})
	s.await("transfer", func() bool {
		x, ok := p.by(watchdog.ViaDaemonClient)
		return ok && x.Control == watchdog.ControlLimitOnly && x.Socket.Remote.Port() == 8873
	})
	d := newDiscovery(p.Probe)
	d.scan.events = true
	d.scan.rsyncs[c.Process.Pid] = struct{}{}
	found := false
	for range 100 {
		d.pass(time.Now())
		if most := passWork + processWork + fdsAtOnce*(1+socketWork) + maxInherited; d.scan.work > most {
			t.Fatalf("a pass cost %d, at most %d", d.scan.work, most)
		}
		for _, h := range d.scan.procs {
			found = found || h.holding != nil && len(h.holding.sockets) > many
		}
	}
	if !found {
		t.Error("not all of its sockets were looked at in 100 passes")
	}
}

// However dear a pass is, in the long run the rest between them keeps their part of the
// time; a few may come close together.
func TestPassesRest(t *testing.T) {
	for _, cost := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 400 * time.Millisecond} {
		var d discovery
		now, spent := time.Unix(1000, 0), time.Duration(0)
		if first := d.restAfter(now, time.Millisecond); first > longestRest {
			t.Errorf("a first pass of a millisecond rests for %v", first)
		}
		const span = time.Minute
		for end := now.Add(span); now.Before(end); spent += cost {
			now = now.Add(max(cost, d.restAfter(now, cost)))
		}
		if most := span/passCostRatio + 2*passCredit + 2*cost; spent > most {
			t.Errorf("passes of %v took %v of %v, at most %v", cost, spent, span, most)
		}
	}
}

// A sender that is held at the lowest pacing rate sends 64 KB at once and is silent for
// 8 s: it is not idle, and its part of the budget is not given away. A stopped one, and one
// that moves, is not either.
func TestIdleIsWhoMovesNothingOfItself(t *testing.T) {
	const step = 100 * time.Millisecond
	for name, c := range map[string]struct {
		step func(x *transfer, now time.Duration)
		want bool
	}{
		"nothing to send":           {want: true, step: func(*transfer, time.Duration) {}},
		"a peer that does not read": {want: true, step: func(x *transfer, _ time.Duration) { x.unsent = true }},
		"a few bytes to keep it up": {want: true, step: func(x *transfer, _ time.Duration) { x.TCP.BytesReceived += 4 }},
		"stopped":                   {step: func(x *transfer, _ time.Duration) { x.Stopped = true }},
		"held at 8000 bytes/s": {step: func(x *transfer, now time.Duration) {
			if x.unsent = true; now%(8*time.Second) < step {
				x.TCP.BytesAcked += 64 << 10
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p, x, idle := &Probe{}, &transfer{visible: true, sure: true}, false
			for now := step; now < time.Minute; now += step {
				x.Age = now
				c.step(x, now)
				p.noteIdle(x, now)
				idle = idle || x.Idle
			}
			if idle != c.want {
				t.Errorf("idle: %v, want %v", idle, c.want)
			}
		})
	}
}
