package spool

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lifeline/watchdog/alert/incident"
)

// dropClass is the order in which a full spool gives things up.
type dropClass int

const (
	resolvedPairs dropClass = iota // incidents whose begin and end both wait: nobody misses a state
	repeats                        // updates and reminders of others
	remainder
)

var dropOrder = []dropClass{resolvedPairs, repeats, remainder}

// dropGroups gives what a queue can lose at one importance, oldest first. What
// is in one group goes together.
func dropGroups(queue []ref, what dropClass) (groups [][]ref) {
	pairs := resolvedIncidents(queue)
	switch what {
	case resolvedPairs:
		return pairs
	case repeats, remainder:
		inPair := map[uint64]bool{}
		for _, g := range pairs {
			for _, r := range g {
				inPair[r.Seq] = true
			}
		}
		for _, r := range queue {
			repeat := r.Kind == incident.Updated || r.Kind == incident.Reminder
			if !inPair[r.Seq] && repeat == (what == repeats) {
				groups = append(groups, []ref{r})
			}
		}
	}
	return groups
}

// resolvedIncidents finds the incidents of which the queue holds the begin and the
// end, in the order of their ends.
func resolvedIncidents(queue []ref) (whole [][]ref) {
	begun := map[uint64][]ref{}
	for _, r := range queue {
		if so, ok := begun[r.Incident]; ok || r.Kind == incident.Firing {
			begun[r.Incident] = append(so, r)
		}
		if so := begun[r.Incident]; r.Kind == incident.Resolved && so != nil {
			whole = append(whole, so)
			delete(begun, r.Incident)
		}
	}
	return whole
}

// DropRecord is what was dropped of one receiver's alerts.
type DropRecord struct {
	Total    int       `json:"total"`
	Reported int       `json:"told"` // of Total, what the receiver was told of
	From     time.Time `json:"from"` // of those not told
	To       time.Time `json:"to"`
}

func (d *DropRecord) add(seq uint64) {
	at := incident.Timestamp(SpooledAt(seq))
	if d.Total == d.Reported || at.Before(d.From) {
		d.From = at
	}
	if d.Total == d.Reported || at.After(d.To) {
		d.To = at
	}
	d.Total++
}

func (d DropRecord) encode() []byte {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil // cannot be: numbers and times of this century
	}
	return raw
}

// Watermarks of the spool, in parts of SpoolMax: dropping begins above the
// high one and ends below the low one. The rest is room for one transaction,
// which needs new pages before it frees the old ones.
const (
	highWater = 0.92
	lowWater  = 0.87
	trimShare = 50     // one transaction drops at most this part of SpoolMax
	maxRefs   = 50_000 // of a queue that one transaction looks at
)

// trimming drops within one transaction until need bytes are free.
type trimming struct {
	t      *transaction
	need   int64
	over   func(receiver string, seq uint64) bool // was taken meanwhile
	freed  int64
	drops  map[string][]uint64 // by receiver: sequences of dropped alerts
	buried map[string]int      // by receiver: of these, dead letters
}

// run drops by rising importance, the longest queue first, so that a dead
// receiver pays before a live one. Order is receivers by the length of their
// queues.
func (d *trimming) run(order []string) error {
	if err := d.allDeadLetters(order, maxDeadLetters); err != nil {
		return err
	}
	for _, what := range dropOrder {
		for _, receiver := range order {
			if d.freed >= d.need {
				return nil
			}
			if err := d.queue(receiver, what); err != nil {
				return err
			}
		}
		if what == resolvedPairs && d.freed < d.need {
			if err := d.allDeadLetters(order, maxDeadLetters/10); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *trimming) queue(receiver string, what dropClass) error {
	refs, err := d.t.refs(receiver, maxRefs)
	if err != nil {
		return err
	}
	q := d.t.queues.Bucket([]byte(receiver))
	for _, group := range dropGroups(refs, what) {
		for _, r := range group {
			if d.over(receiver, r.Seq) {
				continue
			}
			if err := q.Delete(sequenceKey(r.Seq)); err != nil {
				return err
			}
			if err := d.lost(receiver, r.Seq); err != nil {
				return err
			}
		}
		if d.freed >= d.need {
			return nil
		}
	}
	return nil
}

// lost counts an alert that was taken out of a queue or list.
func (d *trimming) lost(receiver string, seq uint64) error {
	freed, err := d.t.release(seq)
	d.freed += freed
	d.drops[receiver] = append(d.drops[receiver], seq)
	return err
}

// allDeadLetters drops the oldest refused alerts of every receiver but the last
// keep ones.
func (d *trimming) allDeadLetters(receivers []string, keep int) error {
	for _, receiver := range receivers {
		b := d.t.dead.Bucket([]byte(receiver))
		if b == nil {
			continue
		}
		for n := b.Stats().KeyN; n > keep; n-- {
			k, _ := b.Cursor().First()
			if len(k) != 8 {
				return fmt.Errorf("%w: dead letter %x", errDamaged, k)
			}
			seq := binary.BigEndian.Uint64(k)
			if err := b.Delete(sequenceKey(seq)); err != nil {
				return err
			}
			d.buried[receiver]++
			if err := d.lost(receiver, seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// byLength orders receivers by the length of their queues, longest first;
// those that are no longer configured go before all.
func byLength(pending map[string]int, configured []string) []string {
	var names []string
	for name := range pending {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		ca, cb := slices.Contains(configured, a), slices.Contains(configured, b)
		if ca != cb {
			if ca {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(pending[b], pending[a]), cmp.Compare(a, b))
	})
	return names
}
