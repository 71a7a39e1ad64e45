package alert

import (
	"slices"
	"sync"

	"lifeline/watchdog"
)

// mostTurns bounds the turns with changes that may wait for the lifecycle.
// What finds no room is not lost as a state: the conditions that stand are
// looked at anew each time.
const mostTurns = 1024

// turn is one turn of the control loop in which something changed.
type turn struct {
	at      moment
	changes []watchdog.Change
}

// mail is what the control loop left since the last look.
type mail struct {
	turns    []turn
	at       moment // of the latest turn
	standing []watchdog.Condition
	any      bool // there was a turn
}

// mailbox stands between the control loop, which never waits, and the
// lifecycle.
type mailbox struct {
	mu      sync.Mutex
	mail    mail
	overrun uint64
	latest  moment // of the latest turn, taken or not
	kick    chan struct{}
}

func newMailbox() *mailbox { return &mailbox{kick: make(chan struct{}, 1)} }

// put leaves one turn. It holds the lock for a copy and no longer.
func (b *mailbox) put(at moment, standing []watchdog.Condition, changes []watchdog.Change) {
	b.mu.Lock()
	urgent := len(changes) > 0 || !b.mail.any && b.latest == (moment{}) || !sameConditions(b.mail.standing, standing)
	if len(changes) > 0 && len(b.mail.turns) < mostTurns {
		b.mail.turns = append(b.mail.turns, turn{at, slices.Clone(changes)})
	} else if len(changes) > 0 {
		b.overrun++
	}
	b.mail.at, b.mail.any, b.latest = at, true, at
	b.mail.standing = append(b.mail.standing[:0], standing...)
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

// empty takes what was left.
func (b *mailbox) empty() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mail
	m.standing = slices.Clone(m.standing)
	b.mail.turns, b.mail.any = nil, false
	return m
}

// state tells when the loop last turned, and how many turns found no room.
func (b *mailbox) state() (latest moment, overrun uint64) {
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
