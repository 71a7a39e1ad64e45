package alert

import (
	"slices"

	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
)

// Status is how alerting does.
type Status struct {
	Receivers []notify.ReceiverStatus `json:"receivers"`
	Open      int                     `json:"open"`     // active incidents
	Silences  int                     `json:"silences"` // in force
	Spool     spool.Status            `json:"spool"`
	Overrun   uint64                  `json:"overrun"` // cycles whose changes found no room; their conditions were compared later
}

// Status tells how alerting does. It waits for no disk.
func (a *Alerts) Status() Status {
	var st Status
	_, st.Overrun = a.box.state()
	a.mu.Lock()
	st.Open, st.Silences = len(a.life.Incidents), len(a.life.Silences)
	a.mu.Unlock()
	for _, w := range a.workers {
		st.Receivers = append(st.Receivers, w.Status())
	}
	for _, name := range a.spool.Queues() {
		if !slices.ContainsFunc(st.Receivers, func(r notify.ReceiverStatus) bool { return r.Name == name }) { // no longer configured
			q := a.spool.Queue(name)
			st.Receivers = append(st.Receivers, notify.ReceiverStatus{Name: name, Pending: q.Pending, Dead: q.Dead, Dropped: q.Dropped})
		}
	}
	st.Spool = a.spool.Status()
	return st
}
