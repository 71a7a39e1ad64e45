package shaper

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// fakeHook is one place of a host where shapers stand, by link.
type fakeHook struct {
	dir      watchdog.Direction
	stands   map[int]*fakeStand
	refuse   error // of free
	fail     error // of install, which leaves something half-built
	stuck    error // of remove
	rest     map[int]bool
	installs int
	looks    int
	ledger   *fakeUndo
}

type fakeStand struct {
	hook    *fakeHook
	shape   tokenBucket
	sick    error
	members []string
}

func (h *fakeHook) available(int) error { h.looks++; return h.refuse }

func (h *fakeHook) entry(link int) (ledger.Entry, error) {
	return ledger.Entry{Kind: ledger.Qdisc, TC: ledger.TC{Link: link, Name: fmt.Sprint("eth", link), Kind: h.dir.String()}}, nil
}

func (h *fakeHook) install(link int, s tokenBucket) (installed, error) {
	e, _ := h.entry(link)
	if _, ok := h.ledger.live[e.Key()]; !ok {
		return nil, errors.New("not in the ledger")
	}
	h.installs++
	h.rest[link] = true
	if h.fail != nil {
		return nil, h.fail
	}
	h.stands[link] = &fakeStand{hook: h, shape: s}
	return h.stands[link], nil
}

func (h *fakeHook) remove(link int, _ bool) error {
	if h.stuck != nil {
		return h.stuck
	}
	delete(h.stands, link)
	delete(h.rest, link)
	return nil
}

func (s *fakeStand) check(time.Time) error              { return s.sick }
func (s *fakeStand) setRate(shape tokenBucket) error    { s.shape = shape; return nil }
func (s *fakeStand) releaseMembers() []watchdog.Failure { s.members = nil; return nil }
func (s *fakeStand) setMembers(m []watchdog.Transfer, own []wantedClass, _ time.Time) []watchdog.Failure {
	s.members = nil
	for _, o := range own {
		s.members = append(s.members, fmt.Sprintf("%s=%.0f", o.transfer.ID, o.rate))
	}
	for _, t := range m {
		s.members = append(s.members, string(t.ID))
	}
	return nil
}

// fakeUndo is a ledger that can fail.
type fakeUndo struct {
	live map[string]ledger.Entry
	err  error
}

func (u *fakeUndo) Append(es ...ledger.Entry) error {
	for _, e := range es {
		if u.err == nil {
			u.live[e.Key()] = e
		}
	}
	return u.err
}

func (u *fakeUndo) Done(keys ...string) error {
	for _, k := range keys {
		delete(u.live, k)
	}
	return nil
}

// shaperBench is a LinkShaper over fakes, with a clock of its own.
type shaperBench struct {
	*HTB
	hooks [2]*fakeHook
	undo  *fakeUndo
	now   time.Time
}

func newShaperBench() *shaperBench {
	b := &shaperBench{undo: &fakeUndo{live: map[string]ledger.Entry{}}, now: time.Unix(1, 0)}
	for d := range b.hooks {
		b.hooks[d] = &fakeHook{dir: watchdog.Direction(d), ledger: b.undo, stands: map[int]*fakeStand{}, rest: map[int]bool{}}
	}
	b.HTB = newHTB(b.undo, [2]hook{b.hooks[0], b.hooks[1]}, func() time.Time { return b.now }, 1e9)
	return b
}

// String shows what stands, as rate and members.
func (b *shaperBench) String() string {
	var out []string
	for _, h := range b.hooks {
		for link, s := range h.stands {
			out = append(out, fmt.Sprintf("eth%d %s %d %s", link, h.dir, s.shape.rate, strings.Join(s.members, ",")))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

var (
	rx1 = watchdog.ShaperKey{Link: 1, Direction: watchdog.Rx}
	tx1 = watchdog.ShaperKey{Link: 1, Direction: watchdog.Tx}
	tx2 = watchdog.ShaperKey{Link: 2, Direction: watchdog.Tx}
)

func (b *shaperBench) apply(t *testing.T, r rates, m members, want string, fails ...string) {
	t.Helper()
	in, got := b.Apply(r, m, nil)
	if b.String() != want {
		t.Errorf("stands: %q, want %q", b.String(), want)
	}
	if len(in) != strings.Count(want, "eth") {
		t.Errorf("reported in place: %v, stands: %q", in, want)
	}
	var said []string
	for _, f := range got {
		said = append(said, f.Target+": "+f.Err)
	}
	if !slices.Equal(said, fails) {
		t.Errorf("failures %q, want %q", said, fails)
	}
}

func TestShaperFollowsWishes(t *testing.T) {
	b := newShaperBench()
	m := members{tx1: {{ID: "a"}, {ID: "b"}}}
	for range 2 {
		b.apply(t, rates{tx1: 1e6, rx1: 2e6}, m, "eth1 rx 2000000 ; eth1 tx 1000000 a,b")
	}
	b.apply(t, rates{tx1: 1.005e6, rx1: 2.2e6}, nil, "eth1 rx 2200000 ; eth1 tx 1000000 ")
	b.apply(t, rates{tx2: 1e6}, nil, "eth2 tx 1000000 ")
	b.apply(t, nil, nil, "")
	if len(b.undo.live) != 0 {
		t.Errorf("left in the ledger: %v", b.undo.live)
	}
}

func TestShaperBacksOff(t *testing.T) {
	b := newShaperBench()
	b.hooks[watchdog.Tx].fail = errors.New("no memory")
	for range 100 {
		b.apply(t, rates{tx1: 1e6}, nil, "", "link eth1 tx: no memory")
		b.now = b.now.Add(100 * time.Millisecond)
	}
	if n := b.hooks[watchdog.Tx].installs; n != 2 { // at once, and after 5 s
		t.Errorf("%d attempts in ten seconds", n)
	}
	if why := b.Available(tx1); why == nil || why.Error() != "no memory" {
		t.Errorf("available: %v", why)
	}
	if len(b.undo.live) != 0 || len(b.hooks[watchdog.Tx].rest) != 0 {
		t.Errorf("a failed attempt left %v, %v", b.undo.live, b.hooks[watchdog.Tx].rest)
	}
	b.hooks[watchdog.Tx].fail = nil
	b.now = b.now.Add(time.Hour)
	b.apply(t, rates{tx1: 1e6}, nil, "eth1 tx 1000000 ")
}

func TestShaperThatDoesHarmGoes(t *testing.T) {
	b := newShaperBench()
	b.apply(t, rates{tx1: 1e6}, nil, "eth1 tx 1000000 ")
	b.hooks[watchdog.Tx].stands[1].sick = errors.New("management's class dropped 3 packets")
	b.apply(t, rates{tx1: 1e6}, nil, "", "link eth1 tx: management's class dropped 3 packets")
	if len(b.undo.live) != 0 {
		t.Errorf("left in the ledger: %v", b.undo.live)
	}
	if b.Available(tx1) == nil {
		t.Error("it may come back at once")
	}
}

func TestShaperThatCannotGo(t *testing.T) {
	b := newShaperBench()
	h := b.hooks[watchdog.Tx]
	b.apply(t, rates{tx1: 1e6}, nil, "eth1 tx 1000000 ")
	h.stuck = foreignError{[]string{"filter x"}}
	said := "link eth1 tx: remove: " + h.stuck.Error()
	for _, r := range []rates{nil, nil, {tx1: 1e6}} {
		if _, fails := b.Apply(r, nil, nil); len(fails) != 1 || fails[0].Target+": "+fails[0].Err != said {
			t.Errorf("failures: %v", fails)
		}
		b.now = b.now.Add(time.Second)
	}
	if len(b.undo.live) != 1 {
		t.Errorf("the ledger lists %v", b.undo.live)
	}
	h.stuck = nil
	b.now = b.now.Add(time.Minute)
	b.apply(t, nil, nil, "")
	if len(b.undo.live) != 0 {
		t.Errorf("left in the ledger: %v", b.undo.live)
	}
}

func TestShaperNeedsItsLedger(t *testing.T) {
	b := newShaperBench()
	b.undo.err = errors.New("tmpfs is full")
	b.apply(t, rates{rx1: 1e6}, nil, "", "link eth1 rx: not built: tmpfs is full")
	if b.hooks[watchdog.Rx].installs != 0 {
		t.Error("built without an entry")
	}
}

func TestShaperRefusesNonsense(t *testing.T) {
	for _, rate := range []float64{0, -1, 1, 1e300} {
		b := newShaperBench()
		if in, fails := b.Apply(rates{tx1: rate}, nil, nil); len(in) != 0 || len(fails) != 1 {
			t.Errorf("rate %g: %v %v", rate, in, fails)
		}
	}
}

func TestCanLooksSeldom(t *testing.T) {
	b := newShaperBench()
	for range 100 {
		if why := b.Available(tx1); why != nil {
			t.Fatal(why)
		}
		b.now = b.now.Add(100 * time.Millisecond)
	}
	if n := b.hooks[watchdog.Tx].looks; n != 2 {
		t.Errorf("%d looks in ten seconds", n)
	}
	b.lacks[watchdog.Tx] = errors.New("no sch_htb")
	if why := b.Available(tx1); why == nil || why.Error() != "no sch_htb" {
		t.Errorf("available: %v", why)
	}
}

// TestShaperInAnyOrder visits states at random; the ledger always covers what
// is built, and at the end nothing is.
func TestShaperInAnyOrder(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newShaperBench()
		maybe := func(err error) error {
			if r.IntN(4) == 0 {
				return err
			}
			return nil
		}
		for range 60 {
			want := rates{}
			for _, k := range []watchdog.ShaperKey{rx1, tx1, tx2} {
				if r.IntN(2) == 0 {
					want[k] = 1e6 + float64(r.IntN(1e6))
				}
			}
			for _, h := range b.hooks {
				h.refuse, h.fail, h.stuck = maybe(errors.New("taken")), maybe(errors.New("failed")), maybe(errors.New("stuck"))
				for _, s := range h.stands {
					s.sick = maybe(errReplaced)
				}
			}
			b.undo.err = maybe(errors.New("full"))
			b.Apply(want, nil, nil)
			b.now = b.now.Add(time.Duration(r.IntN(10)) * time.Second)
			for _, h := range b.hooks {
				for link := range h.rest {
					e, _ := h.entry(link)
					if _, ok := b.undo.live[e.Key()]; !ok {
						t.Fatalf("seed %d: link %d %s stands without an entry", seed, link, h.dir)
					}
				}
			}
		}
		for _, h := range b.hooks {
			h.stuck = nil
		}
		b.Apply(nil, nil, nil)
		b.now = b.now.Add(time.Hour)
		b.apply(t, nil, nil, "")
		if len(b.undo.live) != 0 {
			t.Fatalf("seed %d: left %v", seed, b.undo.live)
		}
	}
}
