package shaper

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/remediate/roletest"
	"lifeline/watchdog"
)

type owns = map[watchdog.ShaperKey][]TransferRate

// own applies rates of single transfers, and wants no failures.
func own(t testing.TB, s *HTB, r rates, m members, o owns) {
	t.Helper()
	in, fails := s.Apply(r, m, o)
	if len(fails) > 0 || len(in) != len(r) {
		t.Fatalf("in place %v, want %v; failures: %v", in, r, fails)
	}
	for _, list := range o {
		for _, x := range list {
			if x.Err != nil || x.InForce <= 0 {
				t.Fatalf("%s: held at %g: %v", x.Transfer.ID, x.InForce, x.Err)
			}
		}
	}
}

func at(rate float64, ts ...watchdog.Transfer) (out []TransferRate) {
	for _, t := range ts {
		out = append(out, TransferRate{Transfer: t, Rate: rate})
	}
	return out
}

// TestOwnRatesHold gives two connections rates of their own, beside one that is
// free and then shares the link's class.
func TestOwnRatesHold(t *testing.T) {
	for _, host := range []string{"10.0.0.1", "fd00::1"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			srv, cli := newPair(t)
			l := testLedger(t)
			s := newTestShaper(t, srv, l)
			before := srv.shown()
			a, b := connect(t, srv, cli, host, watchdog.Rx), connect(t, srv, cli, host, watchdog.Rx)
			free := connect(t, srv, cli, host, watchdog.Rx)
			ta, tb, tf := a.transfer(t, watchdog.Rx), b.transfer(t, watchdog.Rx), free.transfer(t, watchdog.Rx)
			k := srv.key(watchdog.Rx)
			both := owns{k: append(at(testRate/4, ta), at(testRate, tb)...)}
			own(t, s, nil, nil, both)
			heldTo(t, a, watchdog.Rx, testRate/4)
			heldTo(t, b, watchdog.Rx, testRate)
			faster(t, "the third", free, watchdog.Rx)

			ta.Rate, tb.Rate = testRate/4, testRate
			both = owns{k: append(at(testRate/4, ta), at(testRate, tb)...)}
			own(t, s, rates{k: 4 * testRate}, members{k: {tf}}, both)
			heldTo(t, a, watchdog.Rx, testRate/4)
			heldTo(t, b, watchdog.Rx, testRate)
			heldTo(t, free, watchdog.Rx, (4-wirePerPayload*1.2*1.25)*testRate)

			own(t, s, nil, nil, owns{k: at(testRate/2, ta)})
			heldTo(t, a, watchdog.Rx, testRate/2)
			faster(t, "one that was let go", b, watchdog.Rx)
			faster(t, "one that shared", free, watchdog.Rx)
			own(t, s, nil, nil, owns{k: at(testRate/2, ta)})
			if got := srv.objects(ifbName(srv.link)); strings.Count(got, "class") != 2 {
				t.Errorf("on the ifb:\n%s", got)
			}

			own(t, s, nil, nil, nil)
			faster(t, "one that was held", a, watchdog.Rx)
			if diff := cmp.Diff(before, srv.shown()); diff != "" {
				t.Error(diff)
			}
			if live := l.Live(); len(live) != 0 {
				t.Errorf("left in the ledger: %v", live)
			}
		})
	}
}

// TestOwnIsUndoneByEntriesAlone lets the daemon die wherever it may: with all that
// it makes, without the filter that leads into the ifb, without the one on it.
func TestOwnIsUndoneByEntriesAlone(t *testing.T) {
	for name, lose := range map[string]func(g *ingressShaper, f flow) error{
		"complete":         func(*ingressShaper, flow) error { return nil },
		"before the link":  func(g *ingressShaper, f flow) error { return g.deleteFlow(g.link, f, g.flows[f].handle) },
		"before the class": func(g *ingressShaper, f flow) error { return g.deleteTransferFilter(f, g.classes[f].n) },
	} {
		t.Run(name, func(t *testing.T) {
			srv, cli := newPair(t)
			before := srv.shown()
			l := testLedger(t)
			s := newTestShaper(t, srv, l)
			c := connect(t, srv, cli, "10.0.0.1", watchdog.Rx)
			tr := c.transfer(t, watchdog.Rx)
			k := srv.key(watchdog.Rx)
			own(t, s, nil, nil, owns{k: at(testRate, tr)})
			f, err := flowOf(&tr)
			if err == nil {
				err = lose(s.standing[k].installed.(*ingressShaper), f)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // twice is once
				if err := srv.undoAll(l); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(before, srv.shown()); diff != "" {
					t.Error(diff)
				}
			}
			faster(t, "the connection", c, watchdog.Rx)
		})
	}
}

// TestOwnIsMissed takes away what holds a single transfer: that is noticed, and told.
func TestOwnIsMissed(t *testing.T) {
	srv, _ := newPair(t)
	l := testLedger(t)
	s := newTestShaper(t, srv, l)
	now := s.now()
	s.now = func() time.Time { now = now.Add(checkEvery); return now }
	k := srv.key(watchdog.Rx)
	o := owns{k: at(testRate, fakeTransfer(0))}
	own(t, s, nil, nil, o)
	srv.run("tc", "filter", "del", "dev", ifbName(srv.link), "parent", "4c46:", "prio", fmt.Sprint(firstTransferPrio))
	if _, fails := s.Apply(nil, nil, o); len(fails) != 0 || o[k][0].InForce != 0 || o[k][0].Err == nil || !strings.Contains(o[k][0].Err.Error(), "changed by others") {
		t.Errorf("held at %g: %v; failures %v", o[k][0].InForce, o[k][0].Err, fails)
	}
	if live := l.Live(); len(live) != 0 {
		t.Errorf("left in the ledger: %v", live)
	}
	roletest.Eventually(t, "it is held again", func() bool { s.Apply(nil, nil, o); return o[k][0].InForce == testRate })
	srv.run("ip", "link", "del", "eth0")
	if s.Apply(nil, nil, o); o[k][0].InForce != 0 || o[k][0].Err == nil {
		t.Errorf("on a link that is gone: %g, %v", o[k][0].InForce, o[k][0].Err)
	}
	own(t, s, nil, nil, nil)
}

// TestTooManyOwn asks for more classes than there may be.
func TestTooManyOwn(t *testing.T) {
	srv, _ := newPair(t)
	s := newTestShaper(t, srv, testLedger(t))
	k := srv.key(watchdog.Rx)
	o := owns{}
	for i := range maxTransferClasses + 2 {
		o[k] = append(o[k], at(testRate, fakeTransfer(i))...)
	}
	for range 2 {
		_, fails := s.Apply(nil, nil, o)
		refused := 0
		for _, x := range o[k] {
			if x.Err != nil {
				refused++
			}
		}
		if refused != 2 || len(fails) != 0 || o[k][maxTransferClasses].Err == nil || o[k][maxTransferClasses].InForce != 0 {
			t.Errorf("%d are refused, the 65th for %v; failures %v", refused, o[k][maxTransferClasses].Err, fails)
		}
	}
	o[k] = o[k][2:] // of the room of two that are let go the others have use
	s.Apply(nil, nil, o)
	s.Apply(nil, nil, o)
	own(t, s, nil, nil, o)
	own(t, s, nil, nil, nil)
}

// TestOwnBesideAnotherQdisc finds an operator's ingress qdisc on the link.
func TestOwnBesideAnotherQdisc(t *testing.T) {
	srv, _ := newPair(t)
	l := testLedger(t)
	s := newTestShaper(t, srv, l)
	srv.run("tc", "qdisc", "add", "dev", "eth0", "ingress")
	before := srv.shown()
	k := srv.key(watchdog.Rx)
	o := owns{k: at(testRate, fakeTransfer(0))}
	for range 2 {
		if in, fails := s.Apply(nil, nil, o); len(in) != 0 || len(fails) != 0 || o[k][0].Err == nil || o[k][0].InForce != 0 {
			t.Errorf("in place %v, failures %v, told %v", in, fails, o[k][0].Err)
		}
	}
	if diff := cmp.Diff(before, srv.shown()); diff != "" || len(l.Live()) != 0 {
		t.Errorf("%s; ledger %v", diff, l.Live())
	}
}

func TestDivideOwn(t *testing.T) {
	const mb = 1e6
	using := func(rate float64) watchdog.Transfer { return watchdog.Transfer{Rate: rate} }
	for _, c := range []struct {
		name   string
		rate   float64
		own    []TransferRate
		others bool
		each   []float64
		left   float64
	}{
		{"nobody", 10 * mb, nil, true, nil, 10 * mb},
		{"without a rate of the link", 0, at(5*mb, using(0)), true, []float64{5 * mb}, 0},
		{"one that uses its rate", 10 * mb, at(2*mb, using(2*mb)), true, []float64{2 * mb}, 10*mb - 2*mb*wirePerPayload},
		{"one that uses little", 10 * mb, at(2*mb, using(0)), true, []float64{2 * mb}, 10*mb - 0.25*mb*wirePerPayload},
		{"more than there is", 10 * mb, at(20*mb, using(8*mb)), true, []float64{8.75 * mb / wirePerPayload}, 1.25 * mb},
		{"alone", 10 * mb, at(20*mb, using(8*mb)), false, []float64{10 * mb / wirePerPayload}, 1.25 * mb},
		{"two that ask for more", 10 * mb, at(20*mb, using(8*mb), using(8*mb)), true, []float64{4.375 * mb / wirePerPayload, 4.375 * mb / wirePerPayload}, 1.25 * mb},
	} {
		classes, left := divideRate(c.rate, c.own, c.others)
		var each []float64
		for _, x := range classes {
			each = append(each, x.rate)
		}
		near := func(a, b float64) bool { return a-b < 1 && b-a < 1 }
		if diff := cmp.Diff(c.each, each, cmp.Comparer(near)); diff != "" || !near(left, c.left) {
			t.Errorf("%s: %s; left %g, want %g", c.name, diff, left, c.left)
		}
	}
}

// TestOwnNeedsNoRateOfTheLink: a shaper stands for single transfers alone, is no
// shaper of the link in what is reported, and becomes one without being built anew.
func TestOwnNeedsNoRateOfTheLink(t *testing.T) {
	b := newShaperBench()
	o := owns{rx1: at(5e5, watchdog.Transfer{ID: "x"})}
	shows := func(r rates, o owns, want string) {
		t.Helper()
		if in, fails := b.Apply(r, nil, o); b.String() != want || len(in) != len(r) || len(fails) != 0 {
			t.Errorf("stands %q, want %q; in place %v, failures %v", b.String(), want, in, fails)
		}
	}
	for range 2 {
		shows(nil, o, "eth1 rx 125000000000 x=500000")
	}
	shows(rates{rx1: 2e6}, o, "eth1 rx 1934651 x=500000")
	shows(nil, o, "eth1 rx 125000000000 x=500000")
	if n := b.hooks[watchdog.Rx].installs; n != 1 {
		t.Errorf("%d shapers were built", n)
	}
	shows(nil, owns{rx1: nil}, "")
	b.hooks[watchdog.Rx].refuse = errors.New("taken")
	shows(nil, o, "")
	if o[rx1][0].Err == nil || o[rx1][0].Err.Error() != "taken" || o[rx1][0].InForce != 0 {
		t.Errorf("told %v", o[rx1][0])
	}
	if len(b.undo.live) != 0 {
		t.Errorf("left in the ledger: %v", b.undo.live)
	}
}
