package remediate

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lifeline/watchdog/ledger"
)

// knob is a setting of the kernel that is a whole number. A kernel without it
// answers fs.ErrNotExist.
type knob interface {
	read() (int, error)
	write(v int) error
}

// smallBursts is the value of net.ipv4.tcp_tso_rtt_log by which TCP's bursts
// depend on the rate alone, as before Linux 5.18 (ip-sysctl in the kernel's
// Documentation/networking).
const smallBursts = 0

// burstLook is how often the setting is looked at while it stands, and how long
// one that failed rests.
const burstLook = time.Second

// bursts keeps the kernel's bursts small while that is wanted, and gives the
// setting back afterwards.
type bursts struct {
	knob   knob
	ledger undoLedger
	netns  uint64 // of the setting

	entry  *ledger.Entry // what stands; nil for nothing
	theirs bool          // somebody set it while ours stood: theirs until it is wanted anew
	wanted bool
	looked time.Time
	err    error // of the last look
}

// apply makes bursts small, or as they were; the error is why it did not.
func (b *bursts) apply(want bool, now time.Time) (small bool, err error) {
	if want == b.wanted && now.Sub(b.looked) < burstLook {
		return b.entry != nil, b.err
	}
	b.wanted, b.looked, b.err = want, now, nil
	switch {
	case !want:
		b.theirs = false
		if b.entry != nil {
			b.err = b.lift()
		}
	case !b.theirs:
		b.err = b.keep()
	}
	return b.entry != nil, b.err
}

// keep sets what is not set, and notices who else has set it.
func (b *bursts) keep() error {
	v, err := b.knob.read()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && v == smallBursts:
		return nil // bursts are small without us, or by us
	case err != nil:
		return err
	case b.entry != nil:
		b.theirs = true
		return b.forget()
	}
	e := ledger.Entry{Kind: ledger.Bursts, Netns: b.netns, Was: v, Set: smallBursts}
	if err := b.ledger.Append(e); err != nil {
		return fmt.Errorf("not set: %w", err)
	}
	if err := b.knob.write(smallBursts); err != nil {
		return errors.Join(err, b.ledger.Done(e.Key()))
	}
	b.entry = &e
	return nil
}

// lift gives the setting its value back.
func (b *bursts) lift() error {
	if err := restore(b.knob, *b.entry); err != nil {
		return err
	}
	return b.forget()
}

// forget strikes the entry out.
func (b *bursts) forget() error {
	key := b.entry.Key()
	b.entry = nil
	return b.ledger.Done(key)
}

// restore undoes e, unless somebody has set another value since: that is kept.
func restore(k knob, e ledger.Entry) error {
	v, err := k.read()
	if errors.Is(err, fs.ErrNotExist) || err == nil && v != e.Set {
		return nil
	}
	if err != nil {
		return err
	}
	return k.write(e.Was)
}
