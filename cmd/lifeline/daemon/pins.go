package daemon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/engine"
	"lifeline/watchdog/web"
)

// pinner passes an operator's wish to the loop, for a transfer that exists, and
// tells what became of a rate that was asked for.
func (p *publisher) pinner(to chan<- engine.PinRequest, wake chan<- struct{}) func(watchdog.TransferID, control.Pin) (web.Transfer, error) {
	return func(id watchdog.TransferID, pin control.Pin) (web.Transfer, error) {
		p.mu.Lock()
		err := pinnable(p.last.Snapshot.Transfers, id, pin)
		p.mu.Unlock()
		if err != nil {
			return web.Transfer{}, err
		}
		select {
		case to <- engine.PinRequest{ID: id, Pin: pin}:
			wakeUp(wake)
		case <-time.After(takeTime):
			return web.Transfer{}, errors.New("the watchdog does not take it: see its log")
		}
		if pin.Rate <= 0 {
			return web.Transfer{}, nil
		}
		return p.granted(id, pin.Rate)
	}
}

// takeTime is how long the loop may take to take a request.
const takeTime = time.Second

// grantTime is how long a wish may take to be acted on: some cycles of the loop, and
// less than a client waits.
const grantTime = 3 * time.Second

// granted waits for the cycle that acts on a wish for a rate (bytes/s).
func (p *publisher) granted(id watchdog.TransferID, rate float64) (web.Transfer, error) {
	end := time.After(grantTime)
	for {
		p.mu.Lock()
		r, cycled := p.last, p.cycled
		p.mu.Unlock()
		there := slices.ContainsFunc(r.Snapshot.Transfers, func(t watchdog.Transfer) bool { return t.ID == id })
		if !there || r.Decision.RateRequests[id].Rate == rate {
			return p.transfer(r, id)
		}
		select {
		case <-cycled:
		case <-end:
			return web.Transfer{}, errors.New("the watchdog has not acted on it yet: `lifeline status` tells whether it does")
		}
	}
}

// transfer is one as the status shows it.
func (p *publisher) transfer(r watchdog.Report, id watchdog.TransferID) (web.Transfer, error) {
	st := web.Status{DryRun: p.dryRun}
	st.Fill(r)
	for _, t := range st.Transfers {
		if t.ID == id {
			return t, nil
		}
	}
	return web.Transfer{}, web.ErrNoTransfer
}

// pinnable tells why a wish cannot be granted.
func pinnable(ts []watchdog.Transfer, id watchdog.TransferID, p control.Pin) error {
	for _, t := range ts {
		if t.ID != id {
			continue
		}
		limits := t.Control == watchdog.ControlFull || t.Control == watchdog.ControlLimitOnly
		pauses := t.Control == watchdog.ControlFull || t.Control == watchdog.ControlPauseOnly
		if p.Pause && !pauses {
			return fmt.Errorf("it is never paused: %s", t.Why)
		}
		if p.Rate > 0 && !limits {
			return fmt.Errorf("it is never limited: %s", t.Why)
		}
		return nil
	}
	return web.ErrNoTransfer
}
