package remediate

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"lifeline/remediate/remedy"
	"lifeline/remediate/sysctl"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// fakeKnob is a setting in memory.
type fakeKnob struct {
	v      int
	gone   bool
	refuse error // of a write
	writes int
}

func (k *fakeKnob) Read() (int, error) {
	if k.gone {
		return 0, fs.ErrNotExist
	}
	return k.v, nil
}

func (k *fakeKnob) Write(v int) error {
	k.writes++
	if k.refuse == nil {
		k.v = v
	}
	return k.refuse
}

// withKnob runs f with an Enforcer whose setting is k.
func withKnob(t *testing.T, k *fakeKnob, f func(b *bench, turns func(small bool, n int) watchdog.Outcome)) {
	t.Helper()
	simulate(t, Settings{Bursts: true}, func(t *testing.T, b *bench) {
		b.e.bursts = sysctl.NewSmallBursts(k, b.l, 0)
		f(b, func(small bool, n int) (o watchdog.Outcome) {
			b.want.SmallBursts = small
			for range n {
				o = b.tick()
			}
			return o
		})
	})
}

func TestBurstsAreMadeSmallAndGivenBack(t *testing.T) {
	k := &fakeKnob{v: 7}
	withKnob(t, k, func(b *bench, turns func(bool, int) watchdog.Outcome) {
		o := turns(true, 30)
		noFails(t, o)
		live := b.l.Live()
		if k.v != sysctl.Small || k.writes != 1 || !o.SmallBursts || len(live) != 1 || live[0].Was != 7 {
			t.Errorf("setting %+v, in force %v, ledger %v", k, o.SmallBursts, live)
		}
		o = turns(false, 1)
		noFails(t, o)
		if k.v != 7 || o.SmallBursts {
			t.Errorf("given back: %+v, in force %v", k, o.SmallBursts)
		}
		b.clean("given back")
	})
}

func TestBurstsThatAreSmallAreNotTouched(t *testing.T) {
	for name, k := range map[string]*fakeKnob{"set so already": {v: sysctl.Small}, "an old kernel": {gone: true}} {
		withKnob(t, k, func(b *bench, turns func(bool, int) watchdog.Outcome) {
			noFails(t, turns(true, 15))
			noFails(t, turns(false, 2))
			if k.writes != 0 {
				t.Errorf("%s: written", name)
			}
			b.clean(name)
		})
	}
}

// What an operator sets while ours stands is kept, and left alone until bursts
// are to be small anew.
func TestBurstsOfAnOperatorAreKept(t *testing.T) {
	k := &fakeKnob{v: 9}
	withKnob(t, k, func(b *bench, turns func(bool, int) watchdog.Outcome) {
		turns(true, 5)
		k.v = 4
		o := turns(true, 30)
		noFails(t, o)
		if k.v != 4 || o.SmallBursts {
			t.Errorf("setting %+v, in force %v", k, o.SmallBursts)
		}
		b.clean("taken over")
		turns(false, 1)
		turns(true, 1)
		if k.v != sysctl.Small {
			t.Error("not set for the next time")
		}
		k.v = 5 // and at once let go
		noFails(t, turns(false, 1))
		if k.v != 5 {
			t.Errorf("the undo overwrote an operator's value by %d", k.v)
		}
		b.clean("let go")
	})
}

func TestBurstsThatCannotBeSet(t *testing.T) {
	k := &fakeKnob{v: 9, refuse: syscall.EPERM}
	withKnob(t, k, func(b *bench, turns func(bool, int) watchdog.Outcome) {
		o := turns(true, 20)
		if len(o.Failed) != 1 || o.Failed[0].Remedy != remedy.SmallBursts || k.writes > 3 {
			t.Errorf("failures %v after %d writes", o.Failed, k.writes)
		}
		b.clean("refused")
		k.refuse = nil
		if o := turns(true, 11); len(o.Failed) > 0 || !o.SmallBursts {
			t.Errorf("not tried again: %+v", o)
		}
		k.refuse = syscall.EPERM
		if o := turns(false, 1); len(o.Failed) != 1 || len(b.l.Live()) != 1 {
			t.Errorf("an undo that failed: %v, ledger %v", o.Failed, b.l.Live())
		}
		k.refuse = nil
		noFails(t, turns(false, 11))
		b.clean("undone at last")
	})
}

func TestNoGuardOrNoRecordMeansNoSmallBursts(t *testing.T) {
	k := &fakeKnob{v: 9}
	withKnob(t, k, func(b *bench, turns func(bool, int) watchdog.Outcome) {
		turns(true, 1)
		b.lease.err = errors.New("no guard")
		turns(true, 1)
		if k.v != 9 {
			t.Error("stands without a guard")
		}
		b.lease.err = nil
		b.e.bursts = sysctl.NewSmallBursts(k, fullLedger{}, 0)
		time.Sleep(sysctl.CheckEvery)
		if o := turns(true, 1); k.v != 9 || len(o.Failed) != 1 {
			t.Errorf("without a record: %d, %v", k.v, o.Failed)
		}
	})
}

// fullLedger takes nothing.
type fullLedger struct{}

func (fullLedger) Append(...ledger.Entry) error { return syscall.ENOSPC }
func (fullLedger) Done(...string) error         { return nil }
