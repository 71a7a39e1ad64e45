package nic

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"lifeline/watchdog"
)

// fakeKernel has the links and counters that a test gives it.
type fakeKernel struct {
	infos    map[int]Info
	counters map[int][2]watchdog.Counters
	listErr  error
	lookErr  error
	dumpErr  error
	listed   int
	looked   int
}

func (k *fakeKernel) Links() ([]Info, error) {
	k.listed++
	var infos []Info
	for _, i := range k.infos {
		infos = append(infos, i)
	}
	return infos, k.listErr
}

func (k *fakeKernel) Link(index int) (Info, error) {
	k.looked++
	if k.lookErr != nil {
		return Info{}, k.lookErr
	}
	if info, ok := k.infos[index]; ok {
		return info, nil
	}
	return Info{}, ErrNoLink
}

func (k *fakeKernel) Counters(buf []Reading) ([]Reading, error) {
	if k.dumpErr != nil {
		return buf, k.dumpErr
	}
	for index, c := range k.counters {
		buf = append(buf, Reading{Index: index, Counters: c})
	}
	return buf, nil
}

func (k *fakeKernel) Close() error { return nil }

// add makes a link with counters.
func (k *fakeKernel) add(info Info, rx uint64) {
	k.infos[info.Index] = info
	k.setRx(info.Index, rx)
}

func (k *fakeKernel) setRx(index int, bytes uint64) {
	k.counters[index] = [2]watchdog.Counters{{Bytes: bytes, Packets: bytes / 1000}}
}

func (k *fakeKernel) remove(index int) {
	delete(k.infos, index)
	delete(k.counters, index)
}

// noEvents subscribes and then fails or waits.
type noEvents struct{ err error }

func (e noEvents) Subscribe(ctx context.Context, ready func(), on func(Change)) error {
	ready()
	if e.err != nil {
		return e.err
	}
	<-ctx.Done()
	return errors.New("ended")
}

func newFake() (*fakeKernel, *Probe) {
	k := &fakeKernel{infos: map[int]Info{}, counters: map[int][2]watchdog.Counters{}}
	k.add(Info{Index: 1, Name: "lo", Kind: "device", Loopback: true}, 0)
	p := NewProbe(k, noEvents{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	p.live = true // as after Run subscribed
	return k, p
}

var eth0 = Info{Index: 2, Name: "eth0", Kind: "device", Address: "02:00:00:00:00:01", Up: true, Carrier: true, Driver: "ixgbe", Speed: 125e6}

const tick = 100 * time.Millisecond
