package path

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// readable waits until a packet lies in the socket for a target, without reading it, and
// says whether one came in time.
func readable(t *testing.T, s nsEcho, target netip.Addr, within time.Duration) bool {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(s.open[familyOf(target)].fd), Events: unix.POLLIN}}
	for end := time.Now().Add(within); time.Now().Before(end); {
		n, err := unix.Poll(fds, max(1, int(time.Until(end).Milliseconds())))
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		if n > 0 {
			return true
		}
	}
	return false
}

// askUntilAnswered sends requests, numbered from n on, until there is something to read:
// an address of IPv6 may not be usable yet. It gives when each was sent.
func askUntilAnswered(t *testing.T, s nsEcho, target netip.Addr, n uint64) (sent map[uint64]time.Time) {
	t.Helper()
	sent = map[uint64]time.Time{}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); n++ {
		sent[n] = time.Now()
		must(t, s.Send(target, n))
		if readable(t, s, target, time.Second) {
			return sent
		}
	}
	t.Fatalf("no answer from %v", target)
	return nil
}

// stampPackets has the kernel note when packets come, until the test ends. It begins to do
// so a moment after it is first asked (net_enable_timestamp in net/core/dev.c), and what
// came before then bears the time at which it was read.
func stampPackets(t *testing.T) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }))
	must(t, err)
	const late = 5 * time.Millisecond
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		_, err := c.WriteTo([]byte{1}, c.LocalAddr())
		must(t, err)
		time.Sleep(late)
		var buf, control [64]byte
		_, n, _, _, err := c.ReadMsgUDP(buf[:], control[:])
		must(t, err)
		if stamp, ok := timestamp(control[:n]); ok && time.Duration(time.Now().UnixNano())-stamp >= late {
			return
		}
	}
	t.Fatal("packets are not stamped when they come")
}

// An answer is timed by the kernel, however late it is read: each one is as old as the
// time since it came.
func TestEchoByEitherSocket(t *testing.T) {
	stampPackets(t)
	for name, groups := range map[string]string{"ping socket": "0 2147483647", "raw socket": "1 0"} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.sysctl("ping_group_range", groups)
			s := newEcho(t, w.here)
			for i, target := range []netip.Addr{there, there6, linkLocal(t, w)} {
				timed := false
				for n := uint64(1000*i) + 1; !timed; n += 100 { // again only where a clock was set meanwhile
					timed = checkAge(t, s, target, n)
				}
				if raw := s.open[familyOf(target)].raw; raw != (groups == "1 0") {
					t.Errorf("%v: raw socket %v", target, raw)
				}
			}
		})
	}
}

// checkAge reads an answer late, and compares what is said of its age with when it must
// have come. It gives false where a clock was set meanwhile.
func checkAge(t *testing.T, s nsEcho, target netip.Addr, n uint64) (timed bool) {
	t.Helper()
	const late = 100 * time.Millisecond
	sent := askUntilAnswered(t, s, target, n)
	came := time.Now() // an answer has come by now
	time.Sleep(late)
	least, oldest := time.Since(came), time.Duration(-1)
	timed = s.Receive(func(from netip.Addr, got uint64, ago time.Duration) {
		at, ours := sent[got]
		if from != bare(target) || !ours {
			t.Errorf("answer to %d from %v, asked %v for %d and later", got, from, target, n)
		}
		if most := time.Since(at); ours && ago > most+clockSlip {
			t.Errorf("%v: an answer to what was sent %v ago is said to be %v old", target, most, ago)
		}
		oldest = max(oldest, ago)
	})
	if timed && oldest < least-clockSlip {
		t.Errorf("%v: an answer that was there %v before it was read is said to be %v old", target, least, oldest)
	}
	return timed
}

func TestEchoTellsWhyItCannotSend(t *testing.T) {
	w := newWire(t)
	s := newEcho(t, w.here)
	if err := s.Send(netip.MustParseAddr("203.0.113.1"), 1); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("without a route: %v", err)
	}
	if err := s.Send(netip.MustParseAddr("fe80::1%gone0"), 1); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("over a link that is not there: %v", err)
	}
}

// Answers that came before a clock was set are not timed by it, later ones are.
func TestEchoSeesThatAClockWasSet(t *testing.T) {
	stampPackets(t)
	w := newWire(t)
	s := newEcho(t, w.here)
	for _, set := range []time.Duration{-time.Hour, -5 * time.Millisecond, 5 * time.Millisecond, time.Hour} {
		askUntilAnswered(t, s, there, 7)
		s.wall -= set // as if it had stood there at the last reading
		if s.Receive(func(netip.Addr, uint64, time.Duration) { t.Errorf("set by %v: an answer is told of", set) }) {
			t.Errorf("set by %v: timed", set)
		}
	}
	timed, heard := false, false
	for !timed { // again only where the machine's own clock was set
		askUntilAnswered(t, s, there, 8)
		timed = s.Receive(func(netip.Addr, uint64, time.Duration) { heard = true })
	}
	if !heard {
		t.Error("no answer is told of afterwards")
	}
}

// reply is an answer to request n of s as a peer makes it.
func reply(s *EchoSockets, kind icmp.Type, n uint64) []byte {
	data := binary.NativeEndian.AppendUint64(append([]byte(nil), s.token[:]...), n)
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: int(s.id), Seq: int(uint16(n)), Data: data}}
	b, err := m.Marshal(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func TestOnlyAnswersToUsCount(t *testing.T) {
	s, stranger := NewEchoSockets(), NewEchoSockets()
	header := append([]byte{0x46}, make([]byte, 23)...) // IPv4 with one option
	for name, c := range map[string]struct {
		packet []byte
		f      family
		raw    bool
		ok     bool
	}{
		"IPv4":                 {reply(s, ipv4.ICMPTypeEchoReply, 1<<40), v4, false, true},
		"IPv6":                 {reply(s, ipv6.ICMPTypeEchoReply, 1<<40), v6, false, true},
		"IPv4 with its header": {append(header, reply(s, ipv4.ICMPTypeEchoReply, 1<<40)...), v4, true, true},
		"IPv6 by a raw socket": {reply(s, ipv6.ICMPTypeEchoReply, 1<<40), v6, true, true},
		"a request":            {reply(s, ipv4.ICMPTypeEcho, 1<<40), v4, false, false},
		"to somebody else":     {reply(stranger, ipv4.ICMPTypeEchoReply, 1<<40), v4, false, false},
		"half a header":        {header[:11], v4, true, false},
		"nothing":              {nil, v4, true, false},
	} {
		if n, ok := s.parse(c.f, c.raw, c.packet); ok != c.ok || ok && n != 1<<40 {
			t.Errorf("%s: request %d, %v", name, n, ok)
		}
	}
}

// Whatever anybody sends, nothing breaks and nothing is taken for an answer that
// does not carry our token.
func FuzzParseReply(f *testing.F) {
	s := NewEchoSockets()
	f.Add(reply(s, ipv4.ICMPTypeEchoReply, 1), false)
	f.Add(append(make([]byte, 20), reply(s, ipv4.ICMPTypeEchoReply, 1)...), true)
	f.Add([]byte{0x4f}, true)
	f.Fuzz(func(t *testing.T, packet []byte, raw bool) {
		for _, fam := range []family{v4, v6} {
			if _, ok := s.parse(fam, raw, packet); ok && len(packet) < echoDataSize {
				t.Errorf("%v, raw %v: %x is an answer", fam, raw, packet)
			}
		}
	})
}
