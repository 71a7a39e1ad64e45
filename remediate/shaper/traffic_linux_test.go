package shaper

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

const testRate = 2e6 // bytes/s

// TestRateHolds shapes one of two connections: it is held to its rate, the
// other and ping are not touched, and afterwards neither is.
func TestRateHolds(t *testing.T) {
	for _, d := range both {
		for _, host := range []string{"10.0.0.1", "fd00::1"} {
			t.Run(fmt.Sprintf("%s %s", d, host), func(t *testing.T) {
				t.Parallel()
				srv, cli := newPair(t)
				s := newTestShaper(t, srv, testLedger(t))
				shaped, other := connect(t, srv, cli, host, d), connect(t, srv, cli, host, d)
				tr := shaped.transfer(t, d)
				k := srv.key(d)
				apply(t, s, rates{k: testRate}, members{k: {tr}})
				heldTo(t, shaped, d, testRate)
				if ping := medianPing(t, srv); ping > 30*time.Millisecond {
					t.Errorf("ping beside it takes %v", ping)
				}
				faster(t, "the other connection", other, d)
				apply(t, s, rates{k: 2 * testRate}, members{k: {tr}})
				heldTo(t, shaped, d, 2*testRate)
				apply(t, s, rates{k: testRate}, nil)
				faster(t, "one that left", shaped, d)
				apply(t, s, rates{k: testRate}, members{k: {tr}})
				heldTo(t, shaped, d, testRate)
				apply(t, s, nil, nil)
				faster(t, "one that was shaped", shaped, d)
			})
		}
	}
}

// heldTo waits until a connection moves at a rate, in payload: three windows in
// a row within 20 %. A busy machine may need some more of them.
func heldTo(t *testing.T, c *stream, d watchdog.Direction, rate float64) {
	t.Helper()
	var got []float64
	for end, good := time.Now().Add(30*time.Second), 0; time.Now().Before(end); {
		v := c.speed(t, d, 150*time.Millisecond)
		if good++; v < 0.8*rate || v > 1.1*rate {
			good = 0
		}
		if good == 3 {
			return
		}
		got = append(got, v)
	}
	t.Errorf("%s: %.0f bytes/s, wanted %.0f", d, got, rate)
}

func faster(t *testing.T, what string, c *stream, d watchdog.Direction) {
	t.Helper()
	roletest.Eventually(t, what+" to be free", func() bool { return c.speed(t, d, 100*time.Millisecond) > 5*testRate })
}

func (s *stream) speed(t *testing.T, d watchdog.Direction, window time.Duration) float64 {
	t.Helper()
	n, begin := s.moved(t, d), time.Now()
	time.Sleep(window)
	return float64(s.moved(t, d)-n) / time.Since(begin).Seconds()
}

// medianPing sends echo requests from a namespace to 10.0.0.2.
func medianPing(t *testing.T, n *testNS) time.Duration {
	t.Helper()
	var c *net.IPConn
	n.do(func() (err error) {
		c, err = net.DialIP("ip4:icmp", nil, &net.IPAddr{IP: net.IPv4(10, 0, 0, 2)})
		return err
	})
	defer c.Close()
	var rtts []time.Duration
	for seq := range byte(9) {
		msg := []byte{8, 0, 0, 0, 0x4c, 0x46, 0, seq}
		sum := ^uint16(8<<8 + 0x4c46 + int(seq))
		msg[2], msg[3] = byte(sum>>8), byte(sum)
		sent := time.Now()
		c.SetDeadline(sent.Add(2 * time.Second))
		if _, err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
		rtts = append(rtts, 2*time.Second)
		for buf := make([]byte, 100); ; {
			m, _, err := c.ReadFrom(buf)
			if err != nil {
				break // lost: two seconds
			}
			if m >= 8 && buf[0] == 0 && buf[7] == seq {
				rtts[seq] = time.Since(sent)
				break
			}
		}
	}
	slices.Sort(rtts)
	return rtts[len(rtts)/2]
}

// TestApplicationChangesItsTOS does what OpenSSH does: it sets IP_TOS again
// and again, and with it the priority.
func TestApplicationChangesItsTOS(t *testing.T) {
	srv, cli := newPair(t)
	l := testLedger(t)
	s := newTestShaper(t, srv, l)
	c := connect(t, srv, cli, "10.0.0.1", watchdog.Tx)
	tr := c.transfer(t, watchdog.Tx)
	k := srv.key(watchdog.Tx)
	want := members{k: {tr}}
	apply(t, s, rates{k: testRate}, want)
	if p := c.priority(t); p != classRsync {
		t.Fatalf("priority %#x", p)
	}
	var own int
	for _, tos := range []int{0x10, 0x08, 0x10} {
		c.control(t, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos) })
		if own = c.priority(t); own == classRsync {
			t.Fatal("IP_TOS leaves the priority alone here")
		}
		apply(t, s, rates{k: testRate}, want)
		if p := c.priority(t); p != classRsync {
			t.Fatalf("priority %#x after IP_TOS", p)
		}
	}
	apply(t, s, rates{k: testRate}, nil)
	if p := c.priority(t); p != own {
		t.Errorf("priority %d after leaving, the application's own was %d", p, own)
	}
	apply(t, s, rates{k: testRate}, want)
	c.control(t, func(fd int) error { return sockopt.SetPriority(fd, 5) })
	apply(t, s, nil, nil)
	if p := c.priority(t); p != 5 {
		t.Errorf("priority %d: what the application set last was taken away", p)
	}
	if live := l.Live(); len(live) != 0 {
		t.Errorf("left in the ledger: %v", live)
	}
}

// TestUndoByEntriesAlone lets the daemon die at its worst and undoes what it
// did from the ledger's file.
func TestUndoByEntriesAlone(t *testing.T) {
	srv, cli := newPair(t)
	before := srv.shown()
	dir := t.TempDir()
	l, _, err := ledger.Open(dir, ledger.Identity{Boot: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := newTestShaper(t, srv, l)
	r, m := rates{}, members{}
	var all []*stream
	for _, d := range both {
		for range 4 {
			c := connect(t, srv, cli, "10.0.0.1", d)
			all = append(all, c)
			m[srv.key(d)] = append(m[srv.key(d)], c.transfer(t, d))
		}
		r[srv.key(d)] = testRate
	}
	apply(t, s, r, m)
	l.Close()
	after, damage, err := ledger.Open(dir, ledger.Identity{Boot: "test"})
	if err != nil || damage != nil {
		t.Fatal(err, damage)
	}
	defer after.Close()
	if n := len(after.Live()); n != 2+4 {
		t.Errorf("%d entries: %v", n, after.Live())
	}
	for range 2 { // twice is once
		if err := srv.undoAll(after); err != nil {
			t.Error(err)
		}
		if now := srv.shown(); now != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, now)
		}
	}
	for _, c := range all {
		if p := c.priority(t); p != 0 {
			t.Errorf("priority %#x is left", p)
		}
	}
	in, fails := s.Apply(r, m, nil)
	if len(in) != 0 || len(fails) != 2 {
		t.Errorf("the old daemon has %v in place, failures %v", in, fails)
	}
}

// TestManyMembers changes 256 filters and looks at the traffic of one.
func TestManyMembers(t *testing.T) {
	srv, cli := newPair(t)
	l := testLedger(t)
	s := newTestShaper(t, srv, l)
	c := connect(t, srv, cli, "10.0.0.1", watchdog.Rx)
	tr := c.transfer(t, watchdog.Rx)
	k := srv.key(watchdog.Rx)
	for _, n := range []int{1, 33, 255, 40, 0} {
		list := []watchdog.Transfer{tr}
		for i := range n {
			list = append(list, fakeTransfer(i))
		}
		apply(t, s, rates{k: testRate}, members{k: list})
		if got := strings.Count(srv.filtersShown("ingress"), "mirred"); got != n+1 {
			t.Fatalf("%d filters for %d members", got, n+1)
		}
		heldTo(t, c, watchdog.Rx, testRate)
	}
	apply(t, s, nil, nil)
}

// fakeTransfer is one of many that share an address, of both families, and of
// which some are clients of one far port.
func fakeTransfer(i int) watchdog.Transfer {
	t := watchdog.Transfer{ID: watchdog.TransferID(fmt.Sprint("f", i)), Control: watchdog.ControlFull}
	local, remote := "10.0.0.1", "10.0.0.2"
	if i%2 == 1 {
		local, remote = "fd00::1", "fd00::2"
	}
	t.Socket.Local, t.Socket.Remote = addrPort(local, 873), addrPort(remote, uint16(40000+2*i))
	if i%4 >= 2 {
		t.Socket.Local, t.Socket.Remote = addrPort(local, uint16(40000+2*i)), addrPort(remote, 873)
	}
	return t
}

// TestUnmatchedPacketsAreReported lets packets carry IP options, which move
// the ports away from where the filter looks.
func TestUnmatchedPacketsAreReported(t *testing.T) {
	srv, cli := newPair(t)
	l := testLedger(t)
	s := newTestShaper(t, srv, l)
	now := time.Now()
	s.now = func() time.Time { return now }
	c := connect(t, srv, cli, "10.0.0.1", watchdog.Rx)
	raw, err := c.far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var opt error
	raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, "\x01\x01\x01\x00") // NOP, NOP, NOP, end
	})
	if opt != nil {
		t.Skip(opt)
	}
	tr := c.transfer(t, watchdog.Rx)
	k := srv.key(watchdog.Rx)
	roletest.Eventually(t, "a report", func() bool {
		now = now.Add(time.Second)
		tr.Bytes = c.moved(t, watchdog.Rx)
		_, fails := s.Apply(rates{k: testRate}, members{k: {tr}}, nil)
		return len(fails) == 1 && strings.Contains(fails[0].Err, "not limited") && fails[0].Target == string(tr.ID)
	})
	apply(t, s, nil, nil)
}

// TestLinkVanishes removes the link under a shaper, and renames another.
func TestLinkVanishes(t *testing.T) {
	srv, _ := newPair(t)
	l := testLedger(t)
	s := newTestShaper(t, srv, l)
	want := rates{srv.key(watchdog.Rx): testRate, srv.key(watchdog.Tx): testRate}
	apply(t, s, want, nil)
	srv.run("ip", "link", "set", "eth0", "name", "lan9")
	if err := srv.undoAll(l); err != nil {
		t.Error(err)
	}
	if left := srv.run("tc", "qdisc", "show"); strings.Contains(left, "htb") || strings.Contains(left, "ingress") {
		t.Errorf("left on the renamed link:\n%s", left)
	}
	s = newTestShaper(t, srv, l)
	apply(t, s, want, nil)
	srv.run("ip", "link", "del", "lan9")
	in, fails := s.Apply(want, nil, nil)
	if len(in) != 0 || len(fails) != 2 || !strings.Contains(fails[0].Err, "no such link") {
		t.Errorf("in place %v, failures %v", in, fails)
	}
	if left := srv.run("ip", "link", "show", "type", "ifb"); left != "" {
		t.Errorf("left:\n%s", left)
	}
	if err := srv.undoAll(l); err != nil {
		t.Error(err)
	}
	apply(t, s, nil, nil)
	if live := l.Live(); len(live) != 0 {
		t.Errorf("left in the ledger: %v", live)
	}
}

// BenchmarkShaperTick is one tick in which nothing changes.
func BenchmarkShaperTick(b *testing.B) {
	for _, d := range both {
		b.Run(d.String()+" 16 members", func(b *testing.B) {
			srv, cli := newPair(b)
			s := newTestShaper(b, srv, testLedger(b))
			m := members{}
			for range 16 {
				m[srv.key(d)] = append(m[srv.key(d)], connect(b, srv, cli, "10.0.0.1", d).transfer(b, d))
			}
			for b.Loop() {
				apply(b, s, rates{srv.key(d): testRate}, m)
			}
		})
	}
}
