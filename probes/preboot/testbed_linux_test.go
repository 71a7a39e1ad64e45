package preboot

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeline/probes/preboot/sandbox"
)

// TestKilledRehearsalIsNotSafe: files that get the rehearsal killed are not safe on
// the word of the analysis alone, and no other way is tried with them.
func TestKilledRehearsalIsNotSafe(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	for name, s := range map[string]*dyingTestbed{
		"while it loads": {fakeTestbed: goodTestbed(), loading: true}, "while it is tried": {fakeTestbed: goodTestbed()},
	} {
		c := fakeChecker(newFakeHost(), s.fakeTestbed, root)
		opened := 0
		way := testbedOpener{allIDs: true, open: func(ctx context.Context) (testbed, error) { opened++; return s, nil }}
		c.testbeds = func(bool) []testbedOpener { return []testbedOpener{way, way} }
		r, err := c.check(t.Context(), Options{})
		if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "killed by a signal") || opened != 1 {
			t.Errorf("%s: %s: %s, %v, opened %d times", name, r.Verdict, r.Reason, err, opened)
		}
	}
}

// TestUncagedIsSaid: without a cgroup the answer says what bounds the rehearsal.
func TestUncagedIsSaid(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	s := &dyingTestbed{fakeTestbed: goodTestbed(), alive: true}
	c := fakeChecker(newFakeHost(), s.fakeTestbed, root)
	c.testbeds = func(bool) []testbedOpener {
		return []testbedOpener{{allIDs: true, open: func(context.Context) (testbed, error) { return s, nil }}}
	}
	r, err := c.check(t.Context(), Options{})
	if err != nil || r.Verdict != Safe || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "no memory cgroup is around the rehearsal") }) {
		t.Errorf("%s, %q, %v", r.Verdict, r.Notes, err)
	}
}

// dyingTestbed is killed while it loads, or while connections are tried.
type dyingTestbed struct {
	*fakeTestbed
	loading, alive bool
}

var errKilled = sandbox.KilledError{Signal: syscall.SIGKILL}

func (s *dyingTestbed) Load(list []sandbox.Load, deadline time.Duration) ([]sandbox.LoadResult, error) {
	if s.loading {
		return nil, errKilled
	}
	return s.fakeTestbed.Load(list, deadline)
}

func (s *dyingTestbed) Connect(tr sandbox.Traffic) ([]sandbox.Outcome, error) {
	if s.alive {
		return s.fakeTestbed.Connect(tr)
	}
	return nil, errKilled
}

func (s *dyingTestbed) MemoryLimit() error { return errors.New("it is not to be had") }
