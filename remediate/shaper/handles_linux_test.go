package shaper

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"

	"lifeline/watchdog"
)

func TestShapeFor(t *testing.T) {
	for _, c := range []struct {
		rate, hz float64
		want     tokenBucket
	}{
		{12.25e6, 1e9, tokenBucket{12250000, 3200}},
		{125e6, 1e9, tokenBucket{125000000, 31250}},
		{12.25e6, 250, tokenBucket{12250000, 49000}}, // a clock of 4 ms
		{2000, 1e9, tokenBucket{2000, 3200}},
	} {
		got, err := bucketFor(c.rate, c.hz)
		if err != nil || got != c.want {
			t.Errorf("%g at %g Hz: %v %v, want %v", c.rate, c.hz, got, err, c.want)
		}
	}
	for _, bad := range []float64{0, -1, 999, math.NaN(), math.Inf(1), 1e12} {
		if s, err := bucketFor(bad, 1e9); err == nil {
			t.Errorf("%g: %v", bad, s)
		}
	}
}

// packet is the head of a TCP packet of a flow, as it comes in.
func packet(f flow) []byte {
	var b []byte
	if f.local.Addr().Is4() {
		b = append(b, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0, 0, 20, 6, 64)
	}
	b = append(append(b, f.remote.Addr().AsSlice()...), f.local.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, f.remote.Port())
	return binary.BigEndian.AppendUint16(b, f.local.Port())
}

// fits does what cls_u32 does with the comparisons.
func fits(ms []u32Match, p []byte) bool {
	for _, m := range ms {
		if int(m.off)+4 > len(p) || binary.BigEndian.Uint32(p[m.off:])&m.mask != m.val {
			return false
		}
	}
	return true
}

// TestFiltersPickTheirFlow crosses many flows with each other's filters.
func TestFiltersPickTheirFlow(t *testing.T) {
	var flows []flow
	for i := range 64 {
		f, err := flowOf(new(fakeTransfer(i)))
		if err != nil {
			t.Fatal(err)
		}
		flows = append(flows, f, flow{f.remote, f.local})
	}
	for i, f := range flows {
		tab := tableOf(f)
		p := packet(f)
		off, mask := tab.hash()
		key := binary.BigEndian.Uint32(p[off:]) & mask
		for mask&1 == 0 {
			mask, key = mask>>1, key>>1
		}
		if key != tab.bucket(f) {
			t.Errorf("%v: hashed into bucket %d, filter is in %d", f, key, tab.bucket(f))
		}
		for j, g := range flows {
			got := tab == tableOf(g) && fits(tab.entry(), packet(g)) && fits(f.matches(), packet(g))
			if got != (i == j) {
				t.Errorf("filter of %v on a packet of %v: %v", f, g, got)
			}
		}
		if fits(markMatch, p) {
			t.Error("the mark matches a packet")
		}
	}
}

func TestEntryLeavesOthersAlone(t *testing.T) {
	f, _ := flowOf(new(fakeTransfer(0)))
	tab := tableOf(f)
	for name, change := range map[string]func(p []byte){
		"UDP":               func(p []byte) { p[9] = 17 },
		"IP options":        func(p []byte) { p[0] = 0x46 },
		"a fragment's tail": func(p []byte) { p[7] = 1 },
	} {
		p := packet(f)
		change(p)
		if fits(tab.entry(), p) {
			t.Errorf("%s gets into the table", name)
		}
	}
}

func TestFlowOf(t *testing.T) {
	tr := watchdog.Transfer{}
	tr.Socket.Local = netip.MustParseAddrPort("[::ffff:10.0.0.1]:873")
	tr.Socket.Remote = netip.MustParseAddrPort("10.0.0.2:40000")
	f, err := flowOf(&tr)
	if err != nil || !f.local.Addr().Is4() {
		t.Errorf("an IPv4 peer of an IPv6 socket: %v %v", f, err)
	}
	tr.Socket.Local = netip.MustParseAddrPort("[fe80::1%eth0]:873")
	if _, err := flowOf(&tr); err == nil {
		t.Error("mixed families are taken")
	}
	tr.Socket.Remote = netip.MustParseAddrPort("[fe80::2%eth0]:40000")
	if f, err := flowOf(&tr); err != nil || f.local.Addr().Zone() != "" {
		t.Errorf("link-local: %v %v", f, err)
	}
	if _, err := flowOf(&watchdog.Transfer{}); err == nil {
		t.Error("unknown addresses are taken")
	}
}

func TestHandlesDoNotMeet(t *testing.T) {
	used := map[uint32]bool{}
	for i := range 512 {
		f, _ := flowOf(new(fakeTransfer(i % 7))) // few buckets, many filters
		h, ok := freeHandle(f, used)
		if !ok || used[h] || h == markHandle() || !isOurFilter(tcObject{kind: "u32", handle: h, info: filterInfo(tableOf(f))}) {
			t.Fatalf("handle %x of flow %d", h, i)
		}
		used[h] = true
	}
}

func TestIfbNamesFit(t *testing.T) {
	for _, link := range []int{1, 255, math.MaxInt32} {
		if n := ifbName(link); len(n) > 15 {
			t.Errorf("%q is longer than IFNAMSIZ allows", n)
		}
	}
}

func TestParseObject(t *testing.T) {
	b := (&nl.TcMsg{Ifindex: 3, Handle: rootHandle, Parent: 0xffffffff}).Serialize()
	b = append(append([]byte{}, b...), nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("htb")).Serialize()...)
	o, err := parseObject(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(" htb 4c46:0 parent ffff:ffff on 3", o.String()+" on "+string(rune('0'+o.link))); diff != "" {
		t.Error(diff)
	}
	for i := range len(b) - 1 {
		parseObject(b[:i]) // must not panic
	}
}

func FuzzParseObject(f *testing.F) {
	f.Add(append(make([]byte, 20), 8, 0, 1, 0, 'h', 't', 'b', 0))
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(b)
		if err != nil {
			return
		}
		isOurHTB(o)
		isOurFilter(o)
		actionPackets(o)
		parseStats(o.attrs[nl.TCA_STATS2])
	})
}

func TestManagementStrain(t *testing.T) {
	e := &egressShaper{}
	for i, s := range []classStats{{}, {qlen: 3}, {qlen: 1}, {}, {qlen: 1}, {qlen: 1}} {
		if err := e.checkManagement(s); err != nil {
			t.Errorf("look %d: %v", i, err)
		}
	}
	if err := e.checkManagement(classStats{qlen: 9, backlog: 9000}); err == nil {
		t.Error("a lasting backlog is healthy")
	}
	if err := (&egressShaper{}).checkManagement(classStats{drops: 1}); err == nil {
		t.Error("a drop is healthy")
	}
}
