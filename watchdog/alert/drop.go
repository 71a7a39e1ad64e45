package alert

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// importance is the order in which a full spool gives things up.
type importance int

const (
	wholePairs importance = iota // incidents whose begin and end both wait: nobody misses a state
	repeats                      // updates and reminders of others
	theRest
)

var importances = []importance{wholePairs, repeats, theRest}

// dropGroups gives what a queue can lose at one importance, oldest first. What
// is in one group goes together.
func dropGroups(queue []ref, what importance) (groups [][]ref) {
	pairs := wholeIncidents(queue)
	switch what {
	case wholePairs:
		return pairs
	case repeats, theRest:
		inPair := map[uint64]bool{}
		for _, g := range pairs {
			for _, r := range g {
				inPair[r.seq] = true
			}
		}
		for _, r := range queue {
			repeat := r.kind == Updated || r.kind == Reminder
			if !inPair[r.seq] && repeat == (what == repeats) {
				groups = append(groups, []ref{r})
			}
		}
	}
	return groups
}

// wholeIncidents finds the incidents of which the queue holds the begin and the
// end, in the order of their ends.
func wholeIncidents(queue []ref) (whole [][]ref) {
	begun := map[uint64][]ref{}
	for _, r := range queue {
		if so, ok := begun[r.incident]; ok || r.kind == Firing {
			begun[r.incident] = append(so, r)
		}
		if so := begun[r.incident]; r.kind == Resolved && so != nil {
			whole = append(whole, so)
			delete(begun, r.incident)
		}
	}
	return whole
}

// dropRecord is what was dropped of one receiver's alerts.
type dropRecord struct {
	Total int       `json:"total"`
	Told  int       `json:"told"` // of Total, what the receiver was told of
	From  time.Time `json:"from"` // of those not told
	To    time.Time `json:"to"`
}

func (d *dropRecord) add(seq uint64) {
	at := stamp(cameIn(seq))
	if d.Total == d.Told || at.Before(d.From) {
		d.From = at
	}
	if d.Total == d.Told || at.After(d.To) {
		d.To = at
	}
	d.Total++
}

func (d dropRecord) encode() []byte {
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
	mostRefs  = 50_000 // of a queue that one transaction looks at
)

// trimmer drops within one transaction until need bytes are free.
type trimmer struct {
	t      *tables
	need   int64
	over   func(receiver string, seq uint64) bool // was taken meanwhile
	freed  int64
	drops  map[string][]uint64 // by receiver: sequences of dropped alerts
	buried map[string]int      // by receiver: of these, dead letters
}

// run drops by rising importance, the longest queue first, so that a dead
// receiver pays before a live one. Order is receivers by the length of their
// queues.
func (d *trimmer) run(order []string) error {
	if err := d.allDeadLetters(order, mostDead); err != nil {
		return err
	}
	for _, what := range importances {
		for _, receiver := range order {
			if d.freed >= d.need {
				return nil
			}
			if err := d.queue(receiver, what); err != nil {
				return err
			}
		}
		if what == wholePairs && d.freed < d.need {
			if err := d.allDeadLetters(order, mostDead/10); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *trimmer) queue(receiver string, what importance) error {
	refs, err := d.t.refs(receiver, mostRefs)
	if err != nil {
		return err
	}
	q := d.t.queues.Bucket([]byte(receiver))
	for _, group := range dropGroups(refs, what) {
		for _, r := range group {
			if d.over(receiver, r.seq) {
				continue
			}
			if err := q.Delete(seqKey(r.seq)); err != nil {
				return err
			}
			if err := d.lost(receiver, r.seq); err != nil {
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
func (d *trimmer) lost(receiver string, seq uint64) error {
	freed, err := d.t.release(seq)
	d.freed += freed
	d.drops[receiver] = append(d.drops[receiver], seq)
	return err
}

// allDeadLetters drops the oldest refused alerts of every receiver but the last
// keep ones.
func (d *trimmer) allDeadLetters(receivers []string, keep int) error {
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
			if err := b.Delete(seqKey(seq)); err != nil {
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
