package engine

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// feed runs a link through samples a second apart and gives the last finding.
func feed(n int, at func(i int) watchdog.Link) finding {
	w := &errorWindow{}
	var f finding
	for i := range n {
		w.add(sampleErrors(new(at(i)), time.Duration(i)*time.Second))
		f = w.finding("eth0")
	}
	return f
}

func linkWith(packets, errors, crc, missed, flaps uint64) watchdog.Link {
	return watchdog.Link{Index: 2, Name: "eth0", CarrierChanges: flaps,
		Counters: [2]watchdog.Counters{{Packets: packets, Errors: errors, CRC: crc, Missed: missed}, {}}}
}

func TestErrorWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		at   func(i int) watchdog.Link
		want truth
	}{
		"clean":            {func(i int) watchdog.Link { return linkWith(uint64(1000*i), 0, 0, 0, 1) }, isFalse},
		"two per cent":     {func(i int) watchdog.Link { return linkWith(uint64(1000*i), uint64(20*i), uint64(20*i), 0, 1) }, isTrue},
		"one on an idle":   {func(i int) watchdog.Link { return linkWith(uint64(i/20), uint64(i/30), 0, 0, 1) }, isFalse},
		"old errors only":  {func(i int) watchdog.Link { return linkWith(uint64(1000*i), 5000, 0, 0, 1) }, isFalse},
		"missed":           {func(i int) watchdog.Link { return linkWith(uint64(100*i), 0, 0, uint64(5*i), 1) }, isTrue},
		"flapping":         {func(i int) watchdog.Link { return linkWith(uint64(100*i), 0, 0, 0, uint64(i/5)) }, isTrue},
		"reset":            {func(i int) watchdog.Link { return linkWith(uint64(1000*(i%40)), uint64((i%40)/39), 0, 0, 1) }, isFalse},
		"another link now": {func(i int) watchdog.Link { l := linkWith(uint64(1000*i), 90000, 0, 0, 9); l.Index = i / 39; return l }, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			n := 75
			if name == "another link now" {
				n = 40
			}
			if got := feed(n, tc.at); got.truth != tc.want {
				t.Errorf("%v (%s), want %v", got.truth, got.evidence, tc.want)
			}
		})
	}
}

// The window is a minute: what happened before it is forgotten.
func TestErrorWindowForgets(t *testing.T) {
	got := feed(150, func(i int) watchdog.Link { return linkWith(uint64(100*i), uint64(min(50*i, 1000)), 0, 0, 1) })
	if got.truth != isFalse {
		t.Errorf("%v: %s", got.truth, got.evidence)
	}
}

func engineForLinks() *Engine {
	return New(Settings{Link: func(...string) LinkSettings { return LinkSettings{} }, IdleTick: time.Second}, nil)
}

func truthOf(fs []finding, name watchdog.ConditionName, subject string) truth {
	for _, f := range fs {
		if f.name == name && f.subject.String() == subject {
			return f.truth
		}
	}
	return unknown
}

func TestLinkDown(t *testing.T) {
	e := engineForLinks()
	up := watchdog.Link{Index: 2, Name: "eth0", Kind: "device", Up: true, Carrier: true}
	spare := watchdog.Link{Index: 3, Name: "eth1", Kind: "device", Up: true} // never had a carrier
	veth := watchdog.Link{Index: 4, Name: "veth1", Kind: "veth", Up: true, Carrier: true}
	see := func(ls ...watchdog.Link) []finding { return e.findLinks(nil, &watchdog.Snapshot{Links: ls}) }

	if got := truthOf(see(up, spare, veth), watchdog.LinkDown, "eth0"); got != isFalse {
		t.Errorf("with carrier: %v", got)
	}
	unplugged := up
	unplugged.Carrier = false
	fs := see(unplugged, spare, veth)
	if truthOf(fs, watchdog.LinkDown, "eth0") != isTrue || truthOf(fs, watchdog.LinkDown, "eth1") != isFalse {
		t.Errorf("unplugged: %v", fs)
	}
	if got := truthOf(see(spare), watchdog.LinkDown, "eth0"); got != isTrue {
		t.Errorf("hardware that vanished: %v", got)
	}
	if got := truthOf(see(spare), watchdog.LinkDown, "veth1"); got == isTrue {
		t.Error("a container's link that ended is an alarm")
	}
	if got := truthOf(see(), watchdog.LinkDown, "eth0"); got != isTrue {
		t.Errorf("the last link vanished: %v", got)
	}
	blind := watchdog.Snapshot{Errors: []watchdog.ProbeError{{Probe: "nic", Err: "no permission"}}}
	if got := truthOf(e.findLinks(nil, &blind), watchdog.LinkDown, "eth0"); got != unknown {
		t.Errorf("no link could be read: %v, want unknown", got)
	}
}
