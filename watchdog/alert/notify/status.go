package notify

import (
	"time"
)

// ReceiverStatus is how one receiver does.
type ReceiverStatus struct {
	Name       string    `json:"name"`
	Type       string    `json:"type"`   // empty: no longer configured
	Target     string    `json:"target"` // scheme and host
	Pending    int       `json:"pending"`
	Oldest     time.Time `json:"oldest,omitzero"` // when the event that is being sent came in
	Held       int       `json:"held"`            // ends that Alertmanager is not told yet
	Dead       int       `json:"dead_letters"`
	Dropped    int       `json:"dropped"` // since the spool was begun
	Sent       uint64    `json:"sent"`    // since the daemon began
	Failed     uint64    `json:"failed"`  // attempts, likewise
	LastSent   time.Time `json:"last_sent,omitzero"`
	LastErr    string    `json:"last_error,omitempty"` // without secrets; empty when the last attempt went well
	LastErrAt  time.Time `json:"last_error_at,omitzero"`
	NextTry    time.Time `json:"next_try,omitzero"`
	Heartbeats bool      `json:"heartbeats"`
}

// Status gives the worker's figures, and those of its queue.
func (w *Worker) Status() ReceiverStatus {
	q := w.spool.Queue(w.cfg.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.figures
	return ReceiverStatus{
		Name: w.cfg.Name, Type: w.cfg.Type, Target: TargetOf(w.cfg), Pending: q.Pending, Dead: q.Dead, Dropped: q.Dropped,
		Held: f.held, Oldest: f.oldest, Sent: f.sent, Failed: f.failed, LastSent: f.lastSent,
		LastErr: f.lastErr, LastErrAt: f.lastErrAt, NextTry: f.next, Heartbeats: w.cfg.Heartbeat.Duration > 0,
	}
}
