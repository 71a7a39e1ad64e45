package engine

import (
	"net/netip"
	"testing"
	"time"

	"lifeline/watchdog"
)

// doubted is a host that was met with its link full: the target answers, and
// what was measured as its empty path holds the queue.
func doubted(set func(*Settings), n int) *host {
	h := newHost(set, n)
	h.paths = []watchdog.Path{{
		Target: netip.MustParseAddr("192.0.2.9"), Why: watchdog.TargetSession, Link: 2, Known: true, Answered: true,
		RTT: 150 * time.Millisecond, Base: 132 * time.Millisecond, Doubt: true,
	}}
	h.blind = true
	return h
}

// A link whose empty path is in doubt for some seconds is sounded: everything is cut to the
// least, and quiet is told once that has stood for a while. When the base is
// found, control takes over.
func TestSounding(t *testing.T) {
	h := doubted(nil, 4)
	h.transfers[3].Direction = watchdog.Tx
	var quietAt time.Duration
	begun := h.now
	h.run(20*time.Second, func(d watchdog.Decision) {
		for _, tr := range h.transfers {
			l := d.Desired.Limits[tr.ID]
			if l.Window == 0 && l.Pacing == 0 {
				t.Fatalf("at %s transfer %s is free", h.now, tr.ID)
			}
			if quietAt == 0 && h.now > begun+probeDelay && (tr.Direction == watchdog.Rx && l.Window != windowFloor(tr.TCP) || tr.Direction == watchdog.Tx && l.Pacing != probePacing) {
				t.Fatalf("at %s transfer %s has %+v, want the least", h.now, tr.ID, l)
			}
		}
		if d.Links[0].PathEmpty && quietAt == 0 {
			quietAt = h.now
			h.blind, h.paths[0].Doubt, h.paths[0].Delay = false, false, true
		}
		if _, ok := standing(d, watchdog.Unprotected); ok {
			t.Fatalf("at %s: reported as unprotected", h.now)
		}
	})
	if took := quietAt - begun - probeDelay; took < probeSettle || took > probeSettle+time.Second {
		t.Errorf("quiet after %s of %s", took, quietAt)
	}
	if s := h.last.Links[0]; s.BaseProbe || s.PathEmpty {
		t.Errorf("still sounding: %+v", s)
	}
	if l := h.last.Desired.Limits["a"]; l.Window <= windowFloor(h.transfers[0].TCP) {
		t.Errorf("afterwards: %+v, want more than the least", l)
	}
}

// Where nothing can be cut (a dry run, say) the path is never called quiet, and
// what was in vain is not repeated soon.
func TestSoundingInVain(t *testing.T) {
	h := doubted(nil, 2)
	h.toothless = true
	var sounded time.Duration
	last := h.now
	h.run(10*time.Minute, func(d watchdog.Decision) {
		if d.Links[0].PathEmpty {
			t.Fatal("quiet, though nothing is limited")
		}
		if d.Links[0].BaseProbe {
			sounded += h.now - last
		}
		last = h.now
	})
	if sounded < probeTimeout || sounded > 4*(probeTimeout+time.Second) {
		t.Errorf("sounded for %s of ten minutes", sounded)
	}
	if _, ok := standing(h.last, watchdog.Unprotected); !ok {
		t.Errorf("not reported as unprotected: %+v", h.last.Conditions)
	}
}

// What is not to be touched is not sounded, and neither is a link on which
// another target gives the delay.
func TestNoSounding(t *testing.T) {
	off := func(s *Settings) {
		s.Link = func(...string) LinkSettings { return LinkSettings{Mode: [2]Mode{ModeOff, ModeOff}} }
	}
	for name, h := range map[string]*host{
		"off": doubted(off, 2), "out of reach": doubted(nil, 2), "another target": doubted(nil, 2), "elsewhere": doubted(nil, 2), "no transfers": doubted(nil, 0),
	} {
		t.Run(name, func(t *testing.T) {
			switch name {
			case "out of reach":
				h.transfers[0].Control, h.transfers[1].Control = watchdog.ControlNone, watchdog.ControlPauseOnly
			case "another target":
				h.paths = append(h.paths, watchdog.Path{Link: 2, Known: true, Delay: true})
			case "elsewhere":
				h.paths[0].Link = 3
			}
			h.run(5*time.Second, func(d watchdog.Decision) {
				for _, l := range d.Links {
					if l.BaseProbe {
						t.Fatalf("%s is sounded", l.Name)
					}
				}
			})
		})
	}
}
