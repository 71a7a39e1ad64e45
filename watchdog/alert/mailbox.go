package alert

import (
	"slices"
	"sync"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

// maxLetters bounds what may wait for the lifecycle. Changes that find no room are
// not lost as a state: the active conditions are looked at anew each time. A remark
// that finds none is.
const maxLetters = 1024

// letter is a cycle of the control loop in which something changed, or a remark.
type letter struct {
	at      incident.Moment
	changes []watchdog.Change
	about   watchdog.Subject // of the remark
	remark  string
}

// mail is what the control loop left since the last look.
type mail struct {
	letters  []letter        // oldest first
	at       incident.Moment // of the latest cycle
	active   []watchdog.Condition
	received bool // there was a cycle
}

// mailbox stands between the control loop, which never waits, and the lifecycle.
// Its lock is held for copies in memory and no longer.
type mailbox struct {
	mu      sync.Mutex
	mail    mail
	overrun uint64
	latest  incident.Moment // of the latest cycle, collected or not
	kick    chan struct{}
}

func newMailbox() *mailbox { return &mailbox{kick: make(chan struct{}, 1)} }

// put leaves what one cycle found.
func (b *mailbox) put(at incident.Moment, active []watchdog.Condition, changes []watchdog.Change) {
	b.mu.Lock()
	urgent := len(changes) > 0 || !b.mail.received && b.latest == (incident.Moment{}) || !sameConditions(b.mail.active, active)
	if len(changes) > 0 && !b.add(letter{at: at, changes: slices.Clone(changes)}) {
		b.overrun++
	}
	b.mail.at, b.mail.received, b.latest = at, true, at
	b.mail.active = append(b.mail.active[:0], active...)
	b.mu.Unlock()
	if urgent {
		b.wake()
	}
}

// putRemark leaves a remark.
func (b *mailbox) putRemark(at incident.Moment, about watchdog.Subject, text string) {
	b.mu.Lock()
	b.add(letter{at: at, about: about, remark: text})
	b.mu.Unlock()
	b.wake()
}

// add tells whether there was room; the lock is held.
func (b *mailbox) add(l letter) bool {
	room := len(b.mail.letters) < maxLetters
	if room {
		b.mail.letters = append(b.mail.letters, l)
	}
	return room
}

// wake makes the lifecycle look at once.
func (b *mailbox) wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// collect empties the mailbox.
func (b *mailbox) collect() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mail
	m.active = slices.Clone(m.active)
	b.mail.letters, b.mail.received = nil, false
	return m
}

// state tells when the last cycle was, and of how many the changes found no room.
func (b *mailbox) state() (latest incident.Moment, overrun uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latest, b.overrun
}

// sameConditions tells whether the same conditions are active with the same
// severities; their evidence may differ.
func sameConditions(a, b []watchdog.Condition) bool {
	return slices.EqualFunc(a, b, func(x, y watchdog.Condition) bool {
		return x.Name == y.Name && x.Subject == y.Subject && x.Severity == y.Severity
	})
}
