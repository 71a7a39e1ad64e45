package discovery

import (
	"slices"
	"sync"
	"time"

	"lifeline/watchdog"
)

// results are what discovery tells beside the transfers.
type results struct {
	mu         sync.Mutex
	capability watchdog.Capability
	failures   []watchdog.ProbeError
	sessions   []Session
	sshPorts   []uint16
	alive      time.Time // last sign of life
	lastPID    int       // that was looked at
}

// stalledAfter is how long discovery may give no sign of life.
const stalledAfter = 5 * time.Second

// Capability says whether the proc connector is in use.
func (d *Discovery) Capability() watchdog.Capability {
	d.results.mu.Lock()
	defer d.results.mu.Unlock()
	return d.results.capability
}

func (r *results) connected() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.capability.Available
}

func (r *results) setCapability(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.capability.Available, r.capability.Why, r.capability.Left = err == nil, "", ""
	if err != nil {
		r.capability.Why = err.Error()
		r.capability.Left = "looking for new pids at every tick"
	}
}

// Errors lists what discovery could not do.
func (d *Discovery) Errors(now time.Time) []watchdog.ProbeError {
	r := &d.results
	r.mu.Lock()
	defer r.mu.Unlock()
	failures := slices.Clone(r.failures)
	if quiet := now.Sub(r.alive); !r.alive.IsZero() && quiet > stalledAfter {
		failures = append(failures, watchdog.ProbeError{
			Probe: watchdog.ProbeRsync.Part("discovery"), Err: "no sign of life for " + quiet.Round(time.Second).String(),
		})
	}
	return failures
}

// setFailure notes that a part of discovery failed, or works again.
func (r *results) setFailure(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = slices.DeleteFunc(r.failures, func(e watchdog.ProbeError) bool { return e.Probe == watchdog.ProbeRsync.Part(what) })
	if err != nil {
		r.failures = append(r.failures, watchdog.ProbeError{Probe: watchdog.ProbeRsync.Part(what), Err: err.Error()})
	}
}

// Alive is when discovery last gave a sign of life; zero before its first look at all
// processes has ended.
func (d *Discovery) Alive() time.Time {
	d.results.mu.Lock()
	defer d.results.mu.Unlock()
	return d.results.alive
}

func (r *results) setAlive(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive = now
}

// sawPID notes the last pid that was looked at, and gives the one before.
func (r *results) sawPID(last int) (before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.lastPID = r.lastPID, last
	return before
}

func (r *results) lastSeen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastPID
}

// Sessions lists the live, authenticated ssh sessions of this host that carry no rsync,
// as of the last second or two.
func (d *Discovery) Sessions() []Session {
	d.results.mu.Lock()
	defer d.results.mu.Unlock()
	return slices.Clone(d.results.sessions)
}

// SSHPorts lists the ports of this host by which people get in over ssh, as of the last
// second or two; none while no sshd is known.
func (d *Discovery) SSHPorts() []uint16 {
	d.results.mu.Lock()
	defer d.results.mu.Unlock()
	return slices.Clone(d.results.sshPorts)
}

func (r *results) setSessions(sessions []Session, ports []uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions, r.sshPorts = sessions, ports
}
