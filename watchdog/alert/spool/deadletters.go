package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lifeline/watchdog/alert/incident"
)

// DeadLetter is an event that a receiver refused. It is kept until somebody
// sends it again, or newer ones need its place.
type DeadLetter struct {
	Receiver string        `json:"receiver"`
	Event    string        `json:"event"`
	Incident string        `json:"incident,omitempty"`
	Kind     incident.Kind `json:"kind"`
	Summary  string        `json:"summary,omitempty"`
	At       time.Time     `json:"at"`      // when it happened
	Refused  time.Time     `json:"refused"` // when it was refused
	Status   int           `json:"status"`  // of the answer; 0 when it could not even be sent
	Error    string        `json:"error"`   // without secrets
}

// DeadLetters lists the refused events of a receiver, oldest first.
func (s *Spool) DeadLetters(receiver string) (out []DeadLetter, err error) {
	err = s.view(func(t *transaction) error {
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

// Requeue puts a receiver's refused events back into its queue: the one with
// the given id, or all for an empty one. It waits for the disk.
func (s *Spool) Requeue(receiver, event string) (n int, err error) {
	db := s.db.Load()
	if db == nil {
		return 0, errors.New("the spool is not on disk")
	}
	err = s.update(db, func(t *transaction) error {
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
				found[seq] = ref{seq, d.Kind, Digest(d.Incident)}
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
func (t *transaction) requeue(receiver string, seq uint64, r ref) error {
	q, err := t.queues.CreateBucketIfNotExists([]byte(receiver))
	if err != nil {
		return err
	}
	if err := t.dead.Bucket([]byte(receiver)).Delete(sequenceKey(seq)); err != nil {
		return err
	}
	return q.Put(sequenceKey(seq), r.encode())
}
