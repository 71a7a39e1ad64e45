package alert

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// item is an event for one receiver to be sent.
type item struct {
	ref
	raw   []byte
	fresh bool // not on disk: the disk did not take it
}

// next gives the first event for a receiver from a sequence number on, of the
// incidents that skip does not name. Events come from disk; those that the
// disk has not taken for long come from memory.
func (s *spool) next(receiver string, from uint64, skip func(incident uint64) bool) (it item, ok bool, err error) {
	s.mu.Lock()
	onDisk := s.count(receiver).pending
	for _, e := range s.fresh {
		if isFor(e, receiver) {
			onDisk--
		}
	}
	s.mu.Unlock()
	if onDisk > 0 {
		it, ok, err = s.nextOnDisk(receiver, from, skip)
	}
	if !ok {
		if f, found := s.nextFresh(receiver, from, skip); found {
			return f, true, nil
		}
	}
	return it, ok, err
}

func isFor(e *entry, receiver string) bool {
	return slices.ContainsFunc(e.to, func(t target) bool { return t.receiver == receiver })
}

func (s *spool) nextOnDisk(receiver string, from uint64, skip func(uint64) bool) (it item, ok bool, err error) {
	err = s.view(func(t *tables) error {
		q := t.queues.Bucket([]byte(receiver))
		if q == nil {
			return nil
		}
		c := q.Cursor()
		for k, v := c.Seek(seqKey(from)); k != nil; k, v = c.Next() {
			r, err := decodeRef(k, v)
			if err != nil {
				return err
			}
			if skip(r.incident) || s.isOver(receiver, r.seq) {
				continue
			}
			it, ok = item{ref: r, raw: bytes.Clone(t.events.Get(k))}, true
			return nil
		}
		return nil
	})
	return it, ok && err == nil, err
}

// nextFresh looks in memory, at what has waited too long for the disk.
func (s *spool) nextFresh(receiver string, from uint64, skip func(uint64) bool) (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, e := range s.fresh {
		if now.Sub(e.since) < patience {
			return item{}, false
		}
		if _, over := s.done[receiver][e.seq]; over || e.seq < from || skip(e.incident) {
			continue
		}
		for _, t := range e.to {
			if t.receiver == receiver {
				return item{ref: ref{e.seq, t.kind, e.incident}, raw: e.raw, fresh: true}, true
			}
		}
	}
	return item{}, false
}

// lastSeq is the last sequence number on disk.
func (t *tables) lastSeq() uint64 {
	if k, _ := t.events.Cursor().Last(); len(k) == 8 {
		return binary.BigEndian.Uint64(k)
	}
	return 0
}

// countQueues counts what waits for whom, configured or not.
func (t *tables) countQueues(into map[string]counts) {
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
func (t *tables) readKept(into map[slot][]byte) error {
	for _, name := range [][]byte{bucketOpen, bucketSilences, bucketTables} {
		err := t.tx.Bucket(name).ForEach(func(k, v []byte) error {
			into[slot{string(name), string(k)}] = bytes.Clone(v)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// queued lists the first n events that wait for a receiver.
func (s *spool) queued(receiver string, n int) (out []Delivery, err error) {
	err = s.view(func(t *tables) error {
		out = nil
		refs, err := t.refs(receiver, n)
		for _, r := range refs {
			if s.isOver(receiver, r.seq) {
				continue
			}
			d := Delivery{Receiver: receiver, Kind: r.kind, At: stamp(cameIn(r.seq))}
			if ev, err := decodeEvent(t.events.Get(seqKey(r.seq))); err == nil { // else: listed without its event
				d.Event, d.Incident, d.Summary, d.At = ev.ID, ev.incident(), ev.Summary, ev.At
			}
			out = append(out, d)
		}
		return err
	})
	return out, err
}

// letters lists the refused events of a receiver, oldest first.
func (s *spool) letters(receiver string) (out []DeadLetter, err error) {
	err = s.view(func(t *tables) error {
		out = nil
		b := t.dead.Bucket([]byte(receiver))
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			var d DeadLetter
			if err := json.Unmarshal(v, &d); err != nil {
				return fmt.Errorf("%w: dead letter %x: %w", errDamaged, k, err)
			}
			out = append(out, d)
			return nil
		})
	})
	return out, err
}

// revive puts a receiver's refused events back into its queue: the one with
// the given id, or all for an empty one. It waits for the disk.
func (s *spool) revive(receiver, event string) (n int, err error) {
	db := s.db.Load()
	if db == nil {
		return 0, errors.New("the spool is not on disk")
	}
	err = s.update(db, func(t *tables) error {
		n = 0
		b := t.dead.Bucket([]byte(receiver))
		if b == nil {
			return nil
		}
		found := map[uint64]ref{}
		err := b.ForEach(func(k, v []byte) error {
			var d DeadLetter
			if err := json.Unmarshal(v, &d); err != nil || len(k) != 8 {
				return fmt.Errorf("%w: dead letter %x", errDamaged, k)
			}
			if event == "" || d.Event == event {
				seq := binary.BigEndian.Uint64(k)
				found[seq] = ref{seq, d.Kind, digest(d.Incident)}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for seq, r := range found {
			if err := t.requeue(receiver, seq, r); err != nil {
				return err
			}
		}
		n = len(found)
		return nil
	})
	if err != nil || n == 0 {
		return 0, err
	}
	s.mu.Lock()
	s.count(receiver).dead -= n
	s.count(receiver).pending += n
	s.mu.Unlock()
	return n, nil
}

// requeue moves a dead letter back.
func (t *tables) requeue(receiver string, seq uint64, r ref) error {
	q, err := t.queues.CreateBucketIfNotExists([]byte(receiver))
	if err != nil {
		return err
	}
	if err := t.dead.Bucket([]byte(receiver)).Delete(seqKey(seq)); err != nil {
		return err
	}
	return q.Put(seqKey(seq), r.encode())
}

// incident is the id of the incident that an event belongs to; empty for none.
func (e Event) incident() string {
	if e.Incident == nil {
		return ""
	}
	return e.Incident.ID
}
