package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lifeline/watchdog/ledger"
)

// Setting is a setting of the kernel that is a whole number. A kernel without it
// answers fs.ErrNotExist.
type Setting interface {
	Read() (int, error)
	Write(v int) error
}

// Small is the value of net.ipv4.tcp_tso_rtt_log by which TCP's bursts
// depend on the rate alone, as before Linux 5.18 (ip-sysctl in the kernel's
// Documentation/networking).
const Small = 0

// CheckEvery is how often the setting is looked at while it stands, and how long
// one that failed rests.
const CheckEvery = time.Second

// SmallBursts keeps the kernel's bursts small while that is wanted, and gives the
// setting back afterwards.
type SmallBursts struct {
	setting Setting
	ledger  recorder
	netns   uint64 // of the setting

	entry      *ledger.Entry // what stands; nil for nothing
	overridden bool          // somebody set it while ours stood: theirs until it is wanted anew
	wanted     bool
	checked    time.Time
	err        error // of the last look
}

// recorder is what is needed of the ledger.
type recorder interface {
	Append(entries ...ledger.Entry) error
	Done(keys ...string) error
}

// NewSmallBursts keeps the setting k of the network namespace netns, an inode.
func NewSmallBursts(k Setting, l recorder, netns uint64) *SmallBursts {
	return &SmallBursts{setting: k, ledger: l, netns: netns}
}

// Released says that the setting was given back by an undo.
func (b *SmallBursts) Released() { b.entry, b.wanted = nil, false }

// Apply makes bursts small, or as they were; the error is why it did not.
func (b *SmallBursts) Apply(want bool, now time.Time) (small bool, err error) {
	if want == b.wanted && now.Sub(b.checked) < CheckEvery {
		return b.entry != nil, b.err
	}
	b.wanted, b.checked, b.err = want, now, nil
	switch {
	case !want:
		b.overridden = false
		if b.entry != nil {
			b.err = b.lift()
		}
	case !b.overridden:
		b.err = b.reconcile()
	}
	return b.entry != nil, b.err
}

// reconcile sets what is not set, and notices who else has set it.
func (b *SmallBursts) reconcile() error {
	v, err := b.setting.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && v == Small:
		return nil // bursts are small without us, or by us
	case err != nil:
		return err
	case b.entry != nil:
		b.overridden = true
		return b.forget()
	}
	e := ledger.Entry{Kind: ledger.Bursts, Netns: b.netns, Was: v, Set: Small}
	if err := b.ledger.Append(e); err != nil {
		return fmt.Errorf("not set: %w", err)
	}
	if err := b.setting.Write(Small); err != nil {
		return errors.Join(err, b.ledger.Done(e.Key()))
	}
	b.entry = &e
	return nil
}

// lift gives the setting its value back.
func (b *SmallBursts) lift() error {
	if err := restoreValue(b.setting, *b.entry); err != nil {
		return err
	}
	return b.forget()
}

// forget strikes the entry out.
func (b *SmallBursts) forget() error {
	key := b.entry.Key()
	b.entry = nil
	return b.ledger.Done(key)
}

// restoreValue undoes e, unless somebody has set another value since: that is kept.
func restoreValue(k Setting, e ledger.Entry) error {
	v, err := k.Read()
	if errors.Is(err, fs.ErrNotExist) || err == nil && v != e.Set {
		return nil
	}
	if err != nil {
		return err
	}
	return k.Write(e.Was)
}
