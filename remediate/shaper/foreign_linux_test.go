package shaper

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
)

var both = []watchdog.Direction{watchdog.Rx, watchdog.Tx}

// TestOperatorsOwnIsLeftAlone refuses a shaper wherever somebody else's
// traffic control stands, and finds it afterwards as it was.
func TestOperatorsOwnIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		setup   []string
		refused []watchdog.Direction
		why     string
	}{
		"tbf at 1:":           {[]string{"qdisc add dev eth0 root handle 1: tbf rate 100mbit burst 70000 limit 2000000"}, both[1:], "tbf qdisc (handle 1:)"},
		"htb of another":      {[]string{"qdisc add dev eth0 root handle 4c: htb"}, both[1:], "htb qdisc (handle 4c:)"},
		"pfifo":               {[]string{"qdisc add dev eth0 root pfifo limit 50"}, both[1:], "pfifo qdisc (handle 8"},
		"clsact with filters": {[]string{"qdisc add dev eth0 clsact", "filter add dev eth0 ingress protocol ip prio 7 u32 match ip dport 99 0xffff", "filter add dev eth0 egress protocol ip prio 7 u32 match ip dport 98 0xffff"}, both[:1], "clsact"},
		"empty clsact":        {[]string{"qdisc add dev eth0 clsact"}, both[:1], "clsact"},
		"ingress with filter": {[]string{"qdisc add dev eth0 ingress", "filter add dev eth0 ingress protocol ip prio 7 u32 match ip dport 99 0xffff"}, both[:1], "ingress"},
		"empty ingress":       {[]string{"qdisc add dev eth0 ingress"}, both[:1], "ingress"},
		"both":                {[]string{"qdisc add dev eth0 root handle 1: tbf rate 100mbit burst 70000 limit 2000000", "qdisc add dev eth0 ingress"}, both, "operator's"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := newPair(t)
			for _, line := range c.setup {
				srv.run(append([]string{"tc"}, strings.Fields(line)...)...)
			}
			before := srv.shown()
			l := testLedger(t)
			s := newTestShaper(t, srv, l)
			for _, d := range c.refused {
				if why := s.Available(srv.key(d)); why == nil || !strings.Contains(why.Error(), c.why) {
					t.Errorf("can %s: %v", d, why)
				}
				in, fails := s.Apply(rates{srv.key(d): 1e6}, nil, nil)
				if len(in) != 0 || len(fails) != 1 || !strings.Contains(fails[0].Err, c.why) || fails[0].Target != "link eth0 "+d.String() {
					t.Errorf("apply %s: in place %v, failures %v", d, in, fails)
				}
			}
			if after := srv.shown(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if n := len(l.Live()); n != 0 {
				t.Errorf("%d entries in the ledger", n)
			}
			if len(c.refused) == 1 { // the other direction goes with it
				apply(t, s, rates{srv.key(1 - c.refused[0]): 1e6}, nil)
				if fails := s.Close(); fails != nil {
					t.Error(fails)
				}
				if after := srv.shown(); after != before {
					t.Errorf("before:\n%s\nafter shaping the other direction:\n%s", before, after)
				}
			}
		})
	}
}

// TestDefaultReturns puts shapers onto links with each of the kernel's own
// defaults and takes them away again.
func TestDefaultReturns(t *testing.T) {
	for want, link := range map[string][]string{
		"noqueue":    nil,
		"pfifo_fast": {"ip", "tuntap", "add", "dev", "tap0", "mode", "tap"},
		"mq":         {"ip", "tuntap", "add", "dev", "tap0", "mode", "tap", "multi_queue"},
	} {
		t.Run(want, func(t *testing.T) {
			srv, _ := newPair(t)
			if link != nil {
				srv.run("ip", "link", "del", "eth0")
				srv.run(link...)
				srv.run("ip", "link", "set", "tap0", "name", "eth0")
				srv.run("ip", "link", "set", "eth0", "up")
				srv.findLink()
			}
			before := srv.shown()
			if !strings.HasPrefix(before, "qdisc "+want+" 0: root") {
				t.Skipf("the default here is %s", before)
			}
			s := newTestShaper(t, srv, testLedger(t))
			apply(t, s, rates{srv.key(watchdog.Tx): 1e6, srv.key(watchdog.Rx): 1e6}, nil)
			during := srv.shown()
			for _, part := range []string{"qdisc htb 4c46: root", "qdisc ingress ffff:", "class htb 4c46:2 parent 4c46:1", "lifeln"} {
				if !strings.Contains(during, part) {
					t.Errorf("no %q in\n%s", part, during)
				}
			}
			apply(t, s, nil, nil)
			if after := srv.shown(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestReplacedShaperIsNotTouched lets the operator put something of his own
// where ours stood.
func TestReplacedShaperIsNotTouched(t *testing.T) {
	for name, c := range map[string]struct {
		d   watchdog.Direction
		cmd string
	}{
		"root by tbf":         {watchdog.Tx, "qdisc replace dev eth0 root handle 1: tbf rate 100mbit burst 70000 limit 2000000"},
		"root by another htb": {watchdog.Tx, "qdisc replace dev eth0 root handle 2: htb default 10"},
		"root by the default": {watchdog.Tx, "qdisc del dev eth0 root"},
		"ingress by clsact":   {watchdog.Rx, "qdisc del dev eth0 ingress;qdisc add dev eth0 clsact"},
		"ingress by an empty": {watchdog.Rx, "qdisc del dev eth0 ingress;qdisc add dev eth0 ingress"},
		"ingress by a used":   {watchdog.Rx, "qdisc del dev eth0 ingress;qdisc add dev eth0 ingress;filter add dev eth0 ingress protocol ip prio 7 u32 match ip dport 99 0xffff"},
		"ingress by none":     {watchdog.Rx, "qdisc del dev eth0 ingress"},
		"all filters taken":   {watchdog.Rx, "filter del dev eth0 ingress"},
		"our handle by a tbf": {watchdog.Tx, "qdisc del dev eth0 root;qdisc add dev eth0 root handle 4c46: tbf rate 100mbit burst 70000 limit 2000000"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, how := range []string{"daemon", "undo"} {
				srv, _ := newPair(t)
				l := testLedger(t)
				s := newTestShaper(t, srv, l)
				apply(t, s, rates{srv.key(c.d): 1e6}, nil)
				for cmd := range strings.SplitSeq(c.cmd, ";") {
					srv.run(append([]string{"tc"}, strings.Fields(cmd)...)...)
				}
				before, _, _ := strings.Cut(srv.shown(), "\n5: ")
				if how == "daemon" {
					in, fails := s.Apply(rates{srv.key(c.d): 1e6}, nil, nil)
					if len(in) != 0 || len(fails) != 1 {
						t.Errorf("in place %v, failures %v", in, fails)
					}
				} else if err := srv.undoAll(l); err != nil {
					t.Error(err)
				}
				after := srv.shown()
				if strings.Contains(after, "lifeln") || !strings.HasPrefix(before, after) {
					t.Errorf("%s: before:\n%s\nafter:\n%s", how, before, after)
				}
			}
		})
	}
}

// TestBetweenLooks changes a shaper just after it was looked at: packets must not
// be led into a link that is down for a moment longer, the rest has a second.
func TestBetweenLooks(t *testing.T) {
	for name, c := range map[string]struct {
		d      watchdog.Direction
		cmd    string
		within time.Duration
	}{
		"ifb down":         {watchdog.Rx, "ip link set lifeln%x down", 0},
		"ifb gone":         {watchdog.Rx, "ip link del lifeln%x", 0},
		"root by another":  {watchdog.Tx, "tc qdisc replace dev eth0 root handle 2: pfifo", checkEvery},
		"filters are gone": {watchdog.Rx, "tc filter del dev eth0 ingress", checkEvery},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := newPair(t)
			s := newTestShaper(t, srv, testLedger(t))
			want := rates{srv.key(c.d): 1e6}
			apply(t, s, want, nil)
			apply(t, s, want, nil)
			srv.run(strings.Fields(strings.ReplaceAll(c.cmd, "%x", fmt.Sprintf("%x", srv.link)))...)
			time.Sleep(c.within)
			if in, fails := s.Apply(want, nil, nil); len(in) != 0 || len(fails) != 1 {
				t.Errorf("in place %v, failures %v", in, fails)
			}
			if left := srv.run("ip", "link", "show", "type", "ifb"); left != "" {
				t.Errorf("left:\n%s", left)
			}
		})
	}
}

// TestOthersOnOurs lets somebody hang something onto a shaper of ours: our part
// goes, his stays and is reported, and once it is gone nothing is left.
func TestOthersOnOurs(t *testing.T) {
	for name, c := range map[string]struct {
		d         watchdog.Direction
		add, del  string
		kept      string // in what tc shows afterwards
		gone      []string
		unlimited string // what must not be shown any more
	}{
		"filter on the root": {watchdog.Tx, "filter add dev eth0 parent 4c46: protocol ip prio 7 u32 match ip dport 99 0xffff flowid 4c46:20",
			"filter del dev eth0 parent 4c46: protocol ip prio 7", "pref 7 u32", []string{"class htb 4c46:2 ", "pref 65506"}, "rate 8Mbit"},
		"class under our parent": {watchdog.Tx, "class add dev eth0 parent 4c46:1 classid 4c46:99 htb rate 5mbit",
			"class del dev eth0 classid 4c46:99", "class htb 4c46:99", []string{"class htb 4c46:2 ", "pref 65506"}, "rate 8Mbit"},
		"leaf of our class": {watchdog.Tx, "qdisc replace dev eth0 parent 4c46:2 handle 77: tbf rate 5mbit burst 70000 limit 2000000",
			"qdisc del dev eth0 parent 4c46:2 handle 77:", "qdisc tbf 77: parent 4c46:2", []string{"class htb 4c46:10 ", "pref 65506"}, "rate 8Mbit"},
		"filter on ingress": {watchdog.Rx, "filter add dev eth0 ingress protocol ip prio 7 u32 match ip dport 99 0xffff",
			"filter del dev eth0 ingress protocol ip prio 7", "pref 7 u32", []string{"lifeln", "pref 65507"}, "mirred"},
		"filter at our priority": {watchdog.Rx, "filter add dev eth0 ingress protocol ip prio 65506 u32 match ip dport 99 0xffff",
			"filter del dev eth0 ingress protocol ip prio 65506 handle 800::800 u32", "00000063/0000ffff", []string{"lifeln", "pref 65507"}, "mirred"},
		"filter into our ifb": {watchdog.Rx, "filter add dev eth0 ingress protocol ip prio 7 u32 match ip dport 99 0xffff action mirred egress redirect dev IFB",
			"filter del dev eth0 ingress protocol ip prio 7", "lifeln", []string{"pref 65507"}, "Nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := newPair(t)
			before := srv.shown()
			l := testLedger(t)
			s := newTestShaper(t, srv, l)
			apply(t, s, rates{srv.key(c.d): 1e6}, nil)
			tc := func(line string) {
				srv.run(append([]string{"tc"}, strings.Fields(strings.ReplaceAll(line, "IFB", ifbName(srv.link)))...)...)
			}
			tc(c.add)
			_, fails := s.Apply(nil, nil, nil)
			if len(fails) != 1 || !strings.Contains(fails[0].Err, "others") {
				t.Errorf("failures: %v", fails)
			}
			during := srv.shown()
			if !strings.Contains(during, c.kept) || strings.Contains(during, c.unlimited) {
				t.Errorf("kept:\n%s", during)
			}
			for _, part := range c.gone {
				if strings.Contains(during, part) {
					t.Errorf("%q is left:\n%s", part, during)
				}
			}
			if err := srv.undoAll(l); err == nil || !strings.Contains(err.Error(), "others") {
				t.Errorf("undo says %v", err)
			}
			tc(c.del)
			if err := srv.undoAll(l); err != nil {
				t.Error(err)
			}
			if after := srv.shown(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}
