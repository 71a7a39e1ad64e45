package alert

import (
	"slices"
	"sync"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

// maxTurns bounds the turns with changes that may wait for the lifecycle.
// What finds no room is not lost as a state: the conditions that stand are
// looked at anew each time.
const maxTurns = 1024

// cycle is one turn of the control loop in which something changed.
type cycle struct {
	at      incident.Moment
	changes []watchdog.Change
}

// mail is what the control loop left since the last look.
type mail struct {
	cycles     []cycle
	at         incident.Moment // of the latest turn
	conditions []watchdog.Condition
	received   bool // there was a turn
}

// mailbox stands between the control loop, which never waits, and the
// lifecycle.
type mailbox struct {
	mu      sync.Mutex
	mail    mail
	overrun uint64
	latest  incident.Moment // of the latest turn, taken or not
	kick    chan struct{}
}

func newMailbox() *mailbox { return &mailbox{kick: make(chan struct{}, 1)} }

// put leaves one turn. It holds the lock for a copy and no longer.
func (b *mailbox) put(at incident.Moment, standing []watchdog.Condition, changes []watchdog.Change) {
	b.mu.Lock()
	urgent := len(changes) > 0 || !b.mail.received && b.latest == (incident.Moment{}) || !sameConditions(b.mail.conditions, standing)
	if len(changes) > 0 && len(b.mail.cycles) < maxTurns {
		b.mail.cycles = append(b.mail.cycles, cycle{at, slices.Clone(changes)})
	} else if len(changes) > 0 {
		b.overrun++
	}
	b.mail.at, b.mail.received, b.latest = at, true, at
	b.mail.conditions = append(b.mail.conditions[:0], standing...)
	b.mu.Unlock()
	if urgent {
		b.wake()
	}
}

// wake makes the lifecycle look at once.
func (b *mailbox) wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// collect takes what was left.
func (b *mailbox) collect() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mail
	m.conditions = slices.Clone(m.conditions)
	b.mail.cycles, b.mail.received = nil, false
	return m
}

// state tells when the loop last turned, and how many turns found no room.
func (b *mailbox) state() (latest incident.Moment, overrun uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latest, b.overrun
}

// sameConditions tells whether the same conditions stand with the same
// severities; their evidence may differ.
func sameConditions(a, b []watchdog.Condition) bool {
	return slices.EqualFunc(a, b, func(x, y watchdog.Condition) bool {
		return x.Name == y.Name && x.Subject == y.Subject && x.Severity == y.Severity
	})
}
