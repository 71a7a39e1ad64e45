package alert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"go.etcd.io/bbolt"
)

// ref is one event in one receiver's queue.
type ref struct {
	seq      uint64 // of the event; rising, made of the time it came in
	kind     Kind
	incident uint64 // digest of the incident's id
}

// slot is a place for a value in one of the plain buckets.
type slot struct{ bucket, key string }

// kindCodes are the kinds as they are written in a queue.
var kindCodes = []Kind{Firing, Updated, Reminder, Resolved, Heartbeat, Dropped}

func (r ref) encode() []byte {
	b := make([]byte, 9)
	for i, k := range kindCodes {
		if k == r.kind {
			b[0] = byte(i)
		}
	}
	binary.BigEndian.PutUint64(b[1:], r.incident)
	return b
}

// decodeRef reads a queue's entry.
func decodeRef(k, v []byte) (ref, error) {
	if len(k) != 8 || len(v) != 9 || int(v[0]) >= len(kindCodes) {
		return ref{}, fmt.Errorf("%w: queue entry %x: %x", errDamaged, k, v)
	}
	return ref{binary.BigEndian.Uint64(k), kindCodes[v[0]], binary.BigEndian.Uint64(v[1:])}, nil
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// digest is short for an incident's id.
func digest(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// ending is the end of one event's way to one receiver.
type ending struct {
	receiver string
	seq      uint64
	told     *Delivery   // taken by the receiver
	dead     *DeadLetter // refused by it
}

// batchEntry is an event to be written, for the receivers that have not taken
// it meanwhile.
type batchEntry struct {
	seq      uint64
	incident uint64
	raw      []byte
	to       []target
}

// tables is the file within one transaction.
type tables struct {
	tx     *bbolt.Tx
	events *bbolt.Bucket
	queues *bbolt.Bucket
	dead   *bbolt.Bucket
	added  volume // to the history
}

// volume is how much the history holds.
type volume struct {
	incidents int
	bytes     int64
}

func newTables(tx *bbolt.Tx) *tables {
	t := &tables{tx: tx, events: tx.Bucket(bucketEvents), queues: tx.Bucket(bucketQueue), dead: tx.Bucket(bucketDead)}
	t.events.FillPercent = 0.95 // keys only rise
	return t
}

// add spools an event.
func (t *tables) add(e batchEntry) error {
	if len(e.to) == 0 {
		return nil
	}
	if err := t.events.Put(seqKey(e.seq), e.raw); err != nil {
		return err
	}
	for _, to := range e.to {
		q, err := t.queues.CreateBucketIfNotExists([]byte(to.receiver))
		if err != nil {
			return err
		}
		q.FillPercent = 0.95
		if err := q.Put(seqKey(e.seq), ref{e.seq, to.kind, e.incident}.encode()); err != nil {
			return err
		}
	}
	return nil
}

// end takes an event out of a queue, and away when nobody else waits for it.
// It tells whether the event was in the queue.
func (t *tables) end(x ending) (found bool, err error) {
	if x.told != nil {
		if err := t.tell(*x.told); err != nil {
			return false, err
		}
	}
	key := seqKey(x.seq)
	q := t.queues.Bucket([]byte(x.receiver))
	if q == nil || q.Get(key) == nil {
		return false, nil
	}
	if err := q.Delete(key); err != nil {
		return false, err
	}
	if x.dead != nil {
		if err := t.bury(x); err != nil {
			return false, err
		}
	}
	_, err = t.release(x.seq)
	return true, err
}

// bury puts a refused event into the list of dead letters.
func (t *tables) bury(x ending) error {
	d, err := t.dead.CreateBucketIfNotExists([]byte(x.receiver))
	if err != nil {
		return err
	}
	raw, err := json.Marshal(x.dead)
	if err != nil {
		return err
	}
	return d.Put(seqKey(x.seq), raw)
}

// tell notes in the history that a receiver took an event.
func (t *tables) tell(d Delivery) error {
	id := []byte(d.Incident)
	if t.tx.Bucket(bucketOpen).Get(id) == nil && t.tx.Bucket(bucketHistory).Get(id) == nil {
		return nil
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return t.tx.Bucket(bucketTold).Put(toldKey(d), raw)
}

// toldKey orders by incident and event. A reminded receiver is told again and
// again; the latest of its events with the same number stays.
func toldKey(d Delivery) []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%s", d.Incident, d.Event, d.Receiver)
}

// release removes an event that no receiver waits for and gives what that
// freed.
func (t *tables) release(seq uint64) (freed int64, err error) {
	key := seqKey(seq)
	for _, side := range []*bbolt.Bucket{t.queues, t.dead} {
		c := side.Cursor()
		for name, _ := c.First(); name != nil; name, _ = c.Next() {
			if side.Bucket(name).Get(key) != nil {
				return 0, nil
			}
		}
	}
	freed = int64(len(t.events.Get(key))) + entryOverhead
	return freed, t.events.Delete(key)
}

// entryOverhead is about what a queued event takes beside its own bytes.
const entryOverhead = 80

// put writes a plain value; nil removes it.
func (t *tables) put(s slot, value []byte) error {
	b := t.tx.Bucket([]byte(s.bucket))
	key := []byte(s.key)
	if value == nil {
		return b.Delete(key)
	}
	if s.bucket == string(bucketHistory) && b.Get(key) == nil {
		t.added.incidents++
		t.added.bytes += int64(len(value))
	}
	return b.Put(key, value)
}

// boundHistory removes the oldest incidents until neither bound is passed;
// their ids begin with the time. Known is what there was before this
// transaction.
func (t *tables) boundHistory(known volume, most volume) error {
	h := t.tx.Bucket(bucketHistory)
	for known.incidents+t.added.incidents > most.incidents || known.bytes+t.added.bytes > most.bytes {
		id, v := h.Cursor().First()
		if id == nil {
			return nil
		}
		id = bytes.Clone(id)
		t.added.incidents--
		t.added.bytes -= int64(len(v))
		if err := t.forgetTold(id); err != nil {
			return err
		}
		if err := h.Delete(id); err != nil {
			return err
		}
	}
	return nil
}

func (t *tables) forgetTold(id []byte) error {
	b := t.tx.Bucket(bucketTold)
	prefix := append(bytes.Clone(id), 0)
	for {
		k, _ := b.Cursor().Seek(prefix)
		if !bytes.HasPrefix(k, prefix) {
			return nil
		}
		if err := b.Delete(bytes.Clone(k)); err != nil {
			return err
		}
	}
}

// refs reads the first n entries of a queue.
func (t *tables) refs(receiver string, n int) ([]ref, error) {
	q := t.queues.Bucket([]byte(receiver))
	if q == nil {
		return nil, nil
	}
	var out []ref
	c := q.Cursor()
	for k, v := c.First(); k != nil && len(out) < n; k, v = c.Next() {
		r, err := decodeRef(k, v)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// cameIn is when the event with this sequence number came in.
func cameIn(seq uint64) time.Time { return time.Unix(0, int64(seq)).UTC() }
