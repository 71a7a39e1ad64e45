package shaper

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeline/remediate/roletest"
	"lifeline/watchdog"
)

// objects renders all traffic control of a link, one object a line.
func (n *testNS) objects(link string) string {
	n.t.Helper()
	var lines []string
	n.do(func() error {
		t, err := openTC()
		if err != nil {
			return err
		}
		defer t.close()
		index, _, err := t.linkNamed(link)
		if err != nil {
			return err
		}
		add := func(typ int, parent uint32) error {
			list, err := t.dump(typ, index, parent)
			for _, o := range list {
				if o.what != "filter" {
					lines = append(lines, o.String())
				} else if o.handle&maxNode != 0 {
					lines = append(lines, fmt.Sprintf("filter %s %d %04x %03x:%x:%x", o.kind, o.prio(), o.proto(), o.handle>>20, o.handle>>12&0xff, o.handle&maxNode))
				}
			}
			return err
		}
		for _, err := range []error{
			add(unix.RTM_GETQDISC, 0), add(unix.RTM_GETTCLASS, 0),
			add(unix.RTM_GETTFILTER, rootHandle), add(unix.RTM_GETTFILTER, ingressHandle),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// TestWhatIsBuilt compares all that the kernel lists with what it should.
func TestWhatIsBuilt(t *testing.T) {
	srv, cli := newPair(t)
	s := newTestShaper(t, srv, testLedger(t))
	bare := srv.objects("eth0")
	c := connect(t, srv, cli, "10.0.0.1", watchdog.Rx)
	tr := c.transfer(t, watchdog.Rx)
	f, err := flowOf(&tr)
	if err != nil {
		t.Fatal(err)
	}
	leads := fmt.Sprintf("filter u32 65506 0800 %03x:%x:1", tableOf(f).id, tableOf(f).bucket(f))
	apply(t, s, rates{srv.key(watchdog.Tx): 12.25e6, srv.key(watchdog.Rx): 12.25e6}, members{srv.key(watchdog.Rx): {tr}})
	want := strings.Split(strings.TrimSpace(`
class htb 4c46:1 parent ffff:ffff
class htb 4c46:10 parent 4c46:1
class htb 4c46:2 parent 4c46:1
class htb 4c46:20 parent 4c46:1
class tbf 4c49:1 parent 4c49:0
filter u32 65506 0800 4c4:0:fff
filter u32 65506 0800 800:0:4c4
filter u32 65506 0800 800:0:4c4
filter u32 65506 0800 800:0:4c5
filter u32 65506 0800 800:0:4c6
filter u32 65507 86dd 801:0:4c5
filter u32 65507 86dd 801:0:4c6
filter u32 65507 86dd 801:0:4c7
filter u32 65507 86dd 801:0:4c7
qdisc htb 4c46:0 parent ffff:ffff
qdisc ingress ffff:0 parent ffff:fff1
qdisc pfifo 4c47:0 parent 4c46:10
qdisc pfifo 4c48:0 parent 4c46:20
qdisc tbf 4c49:0 parent 4c46:2
`+leads), "\n")
	got := strings.Split(strings.TrimSpace(srv.objects("eth0")), "\n")
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ifb := "class htb 4c46:2 parent ffff:ffff\nqdisc htb 4c46:0 parent ffff:ffff\nqdisc pfifo 4c49:0 parent 4c46:2\n"
	if diff := cmp.Diff(ifb, srv.objects(ifbName(srv.link))); diff != "" {
		t.Error(diff)
	}
	apply(t, s, nil, nil)
	if diff := cmp.Diff(bare, srv.objects("eth0")); diff != "" {
		t.Error(diff)
	}
}

// TestPacketsAreCut looks at the size of what leaves a slow class, and at
// management's own.
func TestPacketsAreCut(t *testing.T) {
	srv, cli := newPair(t)
	s := newTestShaper(t, srv, testLedger(t))
	k := srv.key(watchdog.Tx)
	c := connect(t, srv, cli, "10.0.0.1", watchdog.Tx)
	m := members{k: {c.transfer(t, watchdog.Tx)}}
	mean := func() float64 {
		a := cli.received()
		roletest.Eventually(t, "a megabyte", func() bool { return cli.received().RxBytes > a.RxBytes+1<<20 })
		b := cli.received()
		return float64(b.RxBytes-a.RxBytes) / float64(b.RxPackets-a.RxPackets)
	}
	roletest.Eventually(t, "large packets of one who is free", func() bool { return mean() > 5000 })
	apply(t, s, rates{k: testRate}, m)
	roletest.Eventually(t, "packets of a frame's size", func() bool { return mean() < 1515 })
	medianPing(t, srv)
	if st := srv.class(classMgmt); st.packets < 9 || st.drops != 0 {
		t.Errorf("management's class: %+v", st)
	}
	apply(t, s, nil, nil)
	apply(t, s, rates{k: 10 * segmentBelow}, m)
	roletest.Eventually(t, "large packets at a high rate", func() bool { return mean() > 5000 })
}

func (n *testNS) received() (s netlink.LinkStatistics) {
	n.t.Helper()
	n.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err == nil {
			s = *l.Attrs().Statistics
		}
		return err
	})
	return s
}

func (n *testNS) class(id uint32) (s classStats) {
	n.t.Helper()
	n.do(func() error {
		t, err := openTC()
		if err != nil {
			return err
		}
		defer t.close()
		s, err = t.classStats(n.link, id)
		return err
	})
	return s
}
