package path

import (
	"net/netip"
	"testing"
	"time"

	"lifeline/watchdog"
)

// delay is that of the link.
func (s *scene) delay() time.Duration {
	paths, _ := s.Sample(s.Clock())
	return LinkDelay(only(2), paths, Passive{}).Queue
}

// twoAdministrators is a link over which one in the LAN and one far away are known
// while it is idle, and which is loaded then.
func twoAdministrators(t *testing.T, f func(t *testing.T, s *scene)) {
	t.Helper()
	bubble(t, func(t *testing.T, s *scene) {
		s.net.set(other, 200*time.Microsecond)
		s.net.set(admin, 12*ms)
		s.SetTargets([]netip.Addr{other, admin}, nil)
		s.SetIdle(2)
		s.tick(time.Second, 2*time.Minute)
		s.SetIdle()
		s.SetMode(Fast)
		s.tick(100*ms, time.Second)
		f(t, s)
	})
}

// An administrator in the LAN, whose RTT never moves, says nothing of the queue in
// which one far away stands.
func TestQueueBeyondTheOthers(t *testing.T) {
	twoAdministrators(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 165*ms)
		s.tick(100*ms, 6*time.Second)
		if p := s.one(t, admin); !p.Apart {
			t.Errorf("after 6 s: %+v", p)
		}
		if d := s.delay(); d != 153*ms {
			t.Errorf("the link's delay is %s", d)
		}
		s.net.set(admin, 13*ms)
		s.tick(100*ms, 2*time.Second)
		if d := s.delay(); d != ms {
			t.Errorf("once it has gone the link's delay is %s", d)
		}
		s.net.set(admin, 165*ms)
		s.tick(100*ms, time.Second)
		if d := s.delay(); d != 153*ms {
			t.Errorf("a second after it came back the link's delay is %s", d)
		}
	})
}

// Yesterday's finding holds from the first turn of today.
func TestQueueBeyondIsRemembered(t *testing.T) {
	twoAdministrators(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 165*ms)
		s.tick(100*ms, 6*time.Second)
		s.stop()
		s.boot(t)
		s.SetTargets([]netip.Addr{other, admin}, nil)
		s.SetMode(Fast)
		s.tick(100*ms, 2*time.Second)
		if d := s.delay(); d != 153*ms {
			t.Errorf("the link's delay is %s after a restart", d)
		}
	})
}

// Who is late at any time, or was found to be late whatever the transfers do, is not
// judged by himself.
func TestOwnTroubleIsNotTheLinks(t *testing.T) {
	twoAdministrators(t, func(t *testing.T, s *scene) {
		s.SetMode(Idle)
		s.SetIdle(2)
		for range 40 { // bad Wi-Fi, while the link is idle
			s.net.set(admin, 60*ms)
			s.tick(time.Second, 11*time.Second)
			s.net.set(admin, 12*ms)
			s.tick(time.Second, 11*time.Second)
		}
		s.SetIdle()
		s.SetMode(Fast)
		s.net.set(admin, 165*ms)
		s.tick(100*ms, 10*time.Second)
		if d := s.delay(); d != 0 {
			t.Errorf("the link's delay is %s", d)
		}
	})
	twoAdministrators(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 165*ms)
		s.tick(100*ms, 6*time.Second)
		s.Refuse(admin)
		s.tick(100*ms, rejectFirst-10*time.Second)
		if d := s.delay(); d != 0 {
			t.Errorf("refused, and the link's delay is %s", d)
		}
		s.tick(100*ms, 20*time.Second)
		if d := s.delay(); d != 153*ms {
			t.Errorf("the refusal has ended, and the link's delay is %s", d)
		}
	})
}

// Two behind the same queue are one opinion: the shorter of their delays.
func TestBothBeyondAreOne(t *testing.T) {
	p := watchdog.Path{Link: 2, Known: true, Delay: true, Base: ms}
	near, far, late := p, p, p
	near.RTT, far.RTT, far.Apart, late.RTT = ms, 21*ms, true, 90*ms
	if d := LinkDelay(only(2), []watchdog.Path{near, far, late}, Passive{}); d.Queue != 20*ms {
		t.Errorf("%+v", d)
	}
}

// A target that was contradicted does not count for an hour, and is marked.
func TestContradictedDoesNotCount(t *testing.T) {
	twoAdministrators(t, func(t *testing.T, s *scene) {
		s.net.set(admin, 165*ms)
		s.tick(100*ms, 6*time.Second)
		s.Contradict(admin)
		if p := s.one(t, admin); !p.Contradicted || p.Delay {
			t.Errorf("%+v", p)
		}
		if d := s.delay(); d != 0 {
			t.Errorf("the link's delay is %s", d)
		}
		s.tick(time.Second, time.Hour+10*time.Second)
		if p := s.one(t, admin); p.Contradicted || !p.Delay {
			t.Errorf("an hour later: %+v", p)
		}
	})
}
