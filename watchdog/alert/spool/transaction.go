package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/alert/incident"
)

// lastSeq is the last sequence number on disk.
func (t *transaction) lastSeq() uint64 {
	if k, _ := t.events.Cursor().Last(); len(k) == 8 {
		return binary.BigEndian.Uint64(k)
	}
	return 0
}

// countQueues counts what waits for whom, configured or not.
func (t *transaction) countQueues(into map[string]counts) {
	for _, side := range []*bbolt.Bucket{t.queues, t.dead} {
		c := side.Cursor()
		for name, _ := c.First(); name != nil; name, _ = c.Next() {
			n := into[string(name)]
			if k := side.Bucket(name).Stats().KeyN; side == t.queues {
				n.pending = k
			} else {
				n.dead = k
			}
			into[string(name)] = n
		}
	}
	prefix := []byte("dropped/")
	c := t.tx.Bucket(bucketMeta).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		name := string(k[len(prefix):])
		n := into[name]
		if json.Unmarshal(v, &n.drops) == nil { // a count that cannot be read begins anew
			into[name] = n
		}
	}
}

// readKept reads the values that the running daemon owns.
func (t *transaction) readKept(into map[key][]byte) error {
	for _, name := range [][]byte{bucketOpen, bucketSilences, bucketTables} {
		err := t.tx.Bucket(name).ForEach(func(k, v []byte) error {
			into[key{string(name), string(k)}] = bytes.Clone(v)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// transaction is the file within one transaction.
type transaction struct {
	tx     *bbolt.Tx
	events *bbolt.Bucket
	queues *bbolt.Bucket
	dead   *bbolt.Bucket
	added  volume // to the history
}

func newTables(tx *bbolt.Tx) *transaction {
	t := &transaction{tx: tx, events: tx.Bucket(bucketEvents), queues: tx.Bucket(bucketQueue), dead: tx.Bucket(bucketDead)}
	t.events.FillPercent = 0.95 // keys only rise
	return t
}

// add spools an event.
func (t *transaction) add(e queuedEvent) error {
	if len(e.to) == 0 {
		return nil
	}
	if err := t.events.Put(sequenceKey(e.seq), e.raw); err != nil {
		return err
	}
	for _, to := range e.to {
		q, err := t.queues.CreateBucketIfNotExists([]byte(to.Receiver))
		if err != nil {
			return err
		}
		q.FillPercent = 0.95
		if err := q.Put(sequenceKey(e.seq), ref{e.seq, to.Kind, e.incident}.encode()); err != nil {
			return err
		}
	}
	return nil
}

// complete takes an event out of a queue, and away when nobody else waits for it.
// It tells whether the event was in the queue.
func (t *transaction) complete(x Completion) (found bool, err error) {
	if x.Delivered != nil {
		if err := t.addDelivery(*x.Delivered); err != nil {
			return false, err
		}
	}
	key := sequenceKey(x.Seq)
	q := t.queues.Bucket([]byte(x.Receiver))
	if q == nil || q.Get(key) == nil {
		return false, nil
	}
	if err := q.Delete(key); err != nil {
		return false, err
	}
	if x.Refused != nil {
		if err := t.addDeadLetter(x); err != nil {
			return false, err
		}
	}
	_, err = t.release(x.Seq)
	return true, err
}

// addDeadLetter puts a refused event into the list of dead letters.
func (t *transaction) addDeadLetter(x Completion) error {
	d, err := t.dead.CreateBucketIfNotExists([]byte(x.Receiver))
	if err != nil {
		return err
	}
	raw, err := json.Marshal(x.Refused)
	if err != nil {
		return err
	}
	return d.Put(sequenceKey(x.Seq), raw)
}

// addDelivery notes in the history that a receiver took an event.
func (t *transaction) addDelivery(d incident.Delivery) error {
	id := []byte(d.Incident)
	if t.tx.Bucket(bucketOpen).Get(id) == nil && t.tx.Bucket(bucketHistory).Get(id) == nil {
		return nil
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return t.tx.Bucket(bucketTold).Put(deliveryKey(d), raw)
}

// deliveryKey orders by incident and event. A reminded receiver is told again and
// again; the latest of its events with the same number stays.
func deliveryKey(d incident.Delivery) []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%s", d.Incident, d.Event, d.Receiver)
}

// release removes an event that no receiver waits for and gives what that
// freed.
func (t *transaction) release(seq uint64) (freed int64, err error) {
	key := sequenceKey(seq)
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
func (t *transaction) put(s key, value []byte) error {
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

// refs reads the first n entries of a queue.
func (t *transaction) refs(receiver string, n int) ([]ref, error) {
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
