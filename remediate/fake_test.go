package remediate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/remediate/process"
	"lifeline/remediate/shaper"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// fakeBuffer is what every connection has at first.
const fakeBuffer = 1 << 22

// fakeSock is a connection with a peer that sends at will.
type fakeSock struct {
	sockopt.State
	writes int
	gone   bool
	stuck  bool // the peer never uses up the old window
	chosen bool // the application chose the size of its buffer
}

// fakeProc is a process.
type fakeProc struct {
	stopped bool
	refuse  string
	kids    []watchdog.ProcID
	gone    bool
	stops   int
}

// fakeKernel is a system rendered as text by String.
type fakeKernel struct {
	socks map[uint64]*fakeSock
	procs map[watchdog.ProcID]*fakeProc
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{socks: map[uint64]*fakeSock{}, procs: map[watchdog.ProcID]*fakeProc{}}
}

func (k *fakeKernel) change(s watchdog.Socket, decide func(sockopt.State) (sockopt.Change, error)) error {
	f := k.socks[s.Inode]
	if f == nil || f.gone {
		return process.ErrGone
	}
	set, err := decide(f.State)
	if set != (sockopt.Change{}) {
		f.writes++
	}
	if set.WindowClamp != 0 {
		f.WindowClamp = set.WindowClamp
		if !f.stuck {
			f.Window = min(f.Window, set.WindowClamp)
		}
		if set.WindowClamp == sockopt.NoWindowClamp {
			f.Window = 1 << 20
		}
	}
	if set.Pacing != 0 {
		f.Pacing = set.Pacing
	}
	if set.ShrinkBuffer != 0 {
		f.ReceiveBuffer, f.BufferLocked = set.ShrinkBuffer, true // SO_RCVBUF locks
	}
	if set.RestoreBuffer != 0 {
		f.ReceiveBuffer, f.BufferLocked = set.RestoreBuffer, false
	}
	if set.Autotuning != sockopt.KeepAutotuning {
		f.BufferLocked = set.Autotuning == sockopt.LockBuffer
	}
	return err
}

// findHolders finds nobody: a connection ends here with its only holder.
func (k *fakeKernel) findHolders(watchdog.Socket) ([]watchdog.FDRef, error) {
	return nil, process.ErrGone
}

func (k *fakeKernel) Stop(p watchdog.ProcID) error {
	f := k.procs[p]
	switch {
	case f == nil || f.gone:
		return process.ErrGone
	case f.refuse != "":
		return errors.New(f.refuse)
	}
	f.stopped = true
	f.stops++
	return nil
}

func (k *fakeKernel) Continue(p watchdog.ProcID) error {
	f := k.procs[p]
	if f == nil || f.gone {
		return process.ErrGone
	}
	f.stopped = false
	return nil
}

func (k *fakeKernel) IsStopped(p watchdog.ProcID) (bool, error) {
	f := k.procs[p]
	if f == nil || f.gone {
		return false, process.ErrGone
	}
	return f.stopped, nil
}

func (k *fakeKernel) Children(p watchdog.ProcID) []watchdog.ProcID { return k.procs[p].kids }
func (k *fakeKernel) Keep(func(watchdog.ProcID) bool)              {}

// String lists what is limited or stopped.
func (k *fakeKernel) String() string {
	var out []string
	for i, s := range k.socks {
		if s.gone {
			continue
		}
		if s.WindowClamp != sockopt.NoWindowClamp {
			out = append(out, fmt.Sprintf("socket %d window %d", i, s.WindowClamp))
		}
		if s.Pacing != sockopt.NoPacing {
			out = append(out, fmt.Sprintf("socket %d pacing %d", i, s.Pacing))
		}
		if s.ReceiveBuffer != fakeBuffer {
			out = append(out, fmt.Sprintf("socket %d buffer %d", i, s.ReceiveBuffer))
		}
		if s.BufferLocked && !s.chosen {
			out = append(out, fmt.Sprintf("socket %d not tuned", i))
		}
	}
	for p, f := range k.procs {
		if f.stopped && !f.gone {
			out = append(out, fmt.Sprintf("process %d stopped", p.PID))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// fakeLease is a guard that may be away.
type fakeLease struct{ err error }

func (l *fakeLease) Renew() error { return l.err }

// fakeShaper remembers what it was given.
type fakeShaper struct {
	rates    map[watchdog.ShaperKey]float64
	members  map[watchdog.ShaperKey][]watchdog.Transfer
	withRate map[watchdog.ShaperKey][]shaper.TransferRate
	refuse   error // of what has a rate of its own
}

func (f *fakeShaper) Apply(rates map[watchdog.ShaperKey]float64, members map[watchdog.ShaperKey][]watchdog.Transfer, own map[watchdog.ShaperKey][]shaper.TransferRate) (map[watchdog.ShaperKey]float64, []watchdog.Failure) {
	f.rates, f.members, f.withRate = rates, members, own
	for _, list := range own {
		for i := range list {
			if list[i].Err = f.refuse; f.refuse == nil {
				list[i].InForce = list[i].Rate
			}
		}
	}
	return rates, nil
}

func (f *fakeShaper) Spent() []watchdog.Spent { return nil }

// bench is an Enforcer on a fake system.
type bench struct {
	t      *testing.T
	k      *fakeKernel
	e      *Enforcer
	l      *ledger.Ledger
	lease  *fakeLease
	shaper *fakeShaper
	ts     []watchdog.Transfer
	want   watchdog.Desired
}

func newBench(t *testing.T, s Settings) *bench {
	t.Helper()
	l, _, err := ledger.Open(t.TempDir(), ledger.Identity{Boot: "b"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.HoldBuffer = true
	b := &bench{t: t, k: newFakeKernel(), l: l, lease: &fakeLease{}, shaper: &fakeShaper{}}
	b.e = New(l, b.lease, b.shaper, s)
	b.e.kernel = b.k
	b.want = watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{}, Shapers: map[watchdog.ShaperKey]float64{}}
	return b
}

// add makes a transfer of two processes, pids 10n+1 and 10n+2, with socket n.
func (b *bench) add(n int, dir watchdog.Direction) *watchdog.Transfer {
	t := watchdog.Transfer{
		ID: watchdog.TransferID(fmt.Sprintf("t%d", n)), Direction: dir, Via: watchdog.ViaDaemon,
		Procs:   []watchdog.ProcID{{PID: 10*n + 1, Start: 1}, {PID: 10*n + 2, Start: 1}},
		Control: watchdog.ControlFull, Link: 2,
		Socket: watchdog.Socket{Inode: uint64(n), Remote: netip.MustParseAddrPort("192.0.2.1:1")},
	}
	for _, p := range t.Procs {
		b.k.procs[p] = &fakeProc{}
	}
	b.k.socks[uint64(n)] = &fakeSock{State: sockopt.State{
		Established: true, MSS: 1448, WindowScale: 7, Window: 1 << 20, ReceiveBuffer: fakeBuffer, LockKnown: true,
		WindowClamp: sockopt.NoWindowClamp, Pacing: sockopt.NoPacing}}
	b.ts = append(b.ts, t)
	return &b.ts[len(b.ts)-1]
}

func (b *bench) limit(n int, l watchdog.Limit) {
	b.want.Limits[watchdog.TransferID(fmt.Sprintf("t%d", n))] = l
}

func (b *bench) sock(n int) *fakeSock { return b.k.socks[uint64(n)] }
func (b *bench) proc(n, i int) *fakeProc {
	return b.k.procs[watchdog.ProcID{PID: 10*n + i, Start: 1}]
}

// tick applies once, 100 ms later.
func (b *bench) tick() watchdog.Outcome {
	b.t.Helper()
	time.Sleep(100 * time.Millisecond)
	return b.e.Apply(context.Background(), b.want, b.ts)
}

func (b *bench) clean(what string) {
	b.t.Helper()
	if s := b.k.String(); s != "" {
		b.t.Errorf("%s: left behind:\n%s", what, s)
	}
	if live := b.l.Live(); len(live) > 0 {
		b.t.Errorf("%s: in the ledger: %v", what, live)
	}
}

func noFails(t *testing.T, o watchdog.Outcome) {
	t.Helper()
	for _, f := range o.Failed {
		t.Errorf("%s of %s: %s", f.Remedy, f.Target, f.Err)
	}
}
