package nic

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline/watchdog"
)

// sampled takes one sample that must succeed and returns link index 2.
func sampled(t *testing.T, p *Probe, now time.Duration) (watchdog.Link, bool) {
	t.Helper()
	links, errs := p.Sample(now)
	if len(errs) > 0 {
		t.Fatalf("sample at %v: %v", now, errs)
	}
	for _, l := range links {
		if l.Name == "lo" {
			t.Fatal("the loopback is in the sample")
		}
		if l.Index == 2 {
			return l, true
		}
	}
	return watchdog.Link{}, false
}

func TestSampleGivesRatesPerDirection(t *testing.T) {
	k, p := newFake()
	k.add(eth0, 1000)
	if l, _ := sampled(t, p, 0); l.Rates[watchdog.Rx].Known {
		t.Error("rates known after one sample")
	}
	k.counters[2] = [2]watchdog.Counters{
		{Bytes: 2000, Packets: 10, Errors: 2, Dropped: 3, FIFO: 1, Missed: 1, CRC: 1},
		{Bytes: 500, Packets: 5, Frame: 1},
	}
	l, ok := sampled(t, p, tick)
	if !ok {
		t.Fatal("eth0 missing")
	}
	want := watchdog.Link{
		Index: 2, Name: "eth0", Kind: "device", Up: true, Carrier: true, Speed: 125e6,
		Counters: k.counters[2],
		Rates: [2]watchdog.Rates{
			{Known: true, Bytes: 10000, Packets: 90, Errors: 20, Dropped: 30, Missed: 20, CRC: 10},
			{Known: true, Bytes: 5000, Packets: 50, Errors: 10, CRC: 10},
		},
	}
	if diff := cmp.Diff(want, l, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestRatesUnknownWhenLinkIsAnother(t *testing.T) {
	renamed, kind, address, flapsFell := eth0, eth0, eth0, eth0
	renamed.Name, kind.Kind, address.Address = "lan0", "veth", "02:00:00:00:00:02"
	was := eth0
	was.CarrierChanges, flapsFell.CarrierChanges = 7, 2
	for name, c := range map[string]struct{ before, after Info }{
		"renamed": {eth0, renamed}, "other kind": {eth0, kind}, "other address": {eth0, address}, "made again": {was, flapsFell},
	} {
		t.Run(name, func(t *testing.T) {
			k, p := newFake()
			k.add(c.before, 1000)
			sampled(t, p, 0)
			k.add(c.after, 900_000)
			p.changed(Change{Index: 2})
			if l, ok := sampled(t, p, tick); !ok || l.Rates[watchdog.Rx].Known {
				t.Errorf("sample after the change: %+v, %v", l, ok)
			}
			k.setRx(2, 901_000)
			if l, _ := sampled(t, p, 2*tick); l.Rates[watchdog.Rx].Bytes != 10000 {
				t.Errorf("rates did not come back: %+v", l.Rates)
			}
		})
	}
}

func TestLinkMadeAgainUnderItsIndex(t *testing.T) {
	k, p := newFake()
	k.add(eth0, 1000)
	sampled(t, p, 0)
	p.changed(Change{Index: 2, Gone: true})
	k.setRx(2, 5000) // the same name and address: only the event tells
	p.changed(Change{Index: 2})
	if l, ok := sampled(t, p, tick); !ok || l.Rates[watchdog.Rx].Known {
		t.Errorf("link made again: %+v, %v", l, ok)
	}
}

func TestVanishedLinkIsMissing(t *testing.T) {
	for name, event := range map[string]bool{"with event": true, "event lost": false} {
		t.Run(name, func(t *testing.T) {
			k, p := newFake()
			k.add(eth0, 1000)
			sampled(t, p, 0)
			k.remove(2)
			if event {
				p.changed(Change{Index: 2, Gone: true})
			}
			if l, ok := sampled(t, p, tick); ok {
				t.Errorf("vanished link is in the sample: %+v", l)
			}
			k.add(eth0, 2000)
			if l, ok := sampled(t, p, 2*tick); !ok || l.Rates[watchdog.Rx].Known {
				t.Errorf("link that came back: %+v, %v", l, ok)
			}
		})
	}
}

func TestSteadySamplesDoNotList(t *testing.T) {
	k, p := newFake()
	k.add(eth0, 0)
	for i := range 100 {
		sampled(t, p, time.Duration(i)*tick)
	}
	if k.listed != 1 || k.looked != 0 {
		t.Errorf("listed %d times, looked %d times; want 1 and 0", k.listed, k.looked)
	}
	sampled(t, p, relistEvery)
	if k.listed != 2 {
		t.Errorf("listed %d times after %v, want 2", k.listed, relistEvery)
	}
}

func TestWithoutEventsListsEverySecond(t *testing.T) {
	k, p := newFake()
	p.live = false
	k.add(eth0, 0)
	for i := range 30 {
		sampled(t, p, time.Duration(i)*tick)
	}
	if k.listed != 3 {
		t.Errorf("listed %d times in 3 s, want 3", k.listed)
	}
}

func TestManyChangesAreSpreadOverSamples(t *testing.T) {
	k, p := newFake()
	sampled(t, p, 0)
	for i := range 3 * maxRefresh {
		k.add(Info{Index: 10 + i, Name: "veth", Kind: "veth"}, 0)
		p.changed(Change{Index: 10 + i})
	}
	k.looked = 0
	p.refresh(tick)
	if k.looked != maxRefresh {
		t.Errorf("looked at %d links at once, want %d", k.looked, maxRefresh)
	}
	for i := range 3 {
		p.Sample(time.Duration(i+2) * tick)
	}
	if links, _ := p.Sample(9 * tick); len(links) != 3*maxRefresh {
		t.Errorf("%d links known, want %d", len(links), 3*maxRefresh)
	}
}

func TestErrorsLeaveUnknown(t *testing.T) {
	broken := errors.New("broken")
	t.Run("list", func(t *testing.T) {
		k, p := newFake()
		k.listErr, k.lookErr = broken, broken
		k.add(eth0, 0)
		links, errs := p.Sample(0)
		if len(links) != 0 || len(errs) == 0 {
			t.Errorf("got %v, %v", links, errs)
		}
	})
	t.Run("look", func(t *testing.T) {
		k, p := newFake()
		k.add(eth0, 0)
		sampled(t, p, 0)
		k.lookErr = broken
		p.changed(Change{Index: 2})
		if _, errs := p.Sample(tick); len(errs) == 0 {
			t.Error("no error")
		}
		k.lookErr = nil
		sampled(t, p, 2*tick)
	})
	t.Run("counters", func(t *testing.T) {
		k, p := newFake()
		k.add(eth0, 1000)
		sampled(t, p, 0)
		k.setRx(2, 2000)
		sampled(t, p, tick)
		k.dumpErr = broken
		links, errs := p.Sample(2 * tick)
		if len(errs) != 1 || len(links) != 1 || links[0].Rates[watchdog.Rx].Known {
			t.Errorf("got %+v, %v", links, errs)
		}
		k.dumpErr = nil
		k.setRx(2, 9000)
		if l, _ := sampled(t, p, 3*tick); l.Rates[watchdog.Rx].Known {
			t.Error("rates known at once after a failure")
		}
	})
}

func TestRunSubscribesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := newFake()
		p.events = noEvents{err: errors.New("no buffer space")}
		ctx, cancel := context.WithTimeout(t.Context(), 3*resubscribe)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		if p.live || !p.relist {
			t.Errorf("live %v, relist %v after events ended", p.live, p.relist)
		}
		select {
		case <-p.Wake():
		default:
			t.Error("no wake-up")
		}
	})
}
