package spool

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"lifeline/watchdog/alert/incident"
)

// Event gives the event as it is to be told to the receiver.
func (it Item) Event() (ev incident.Event, err error) {
	raw, err := unpack(it.raw)
	if err == nil {
		err = json.Unmarshal(raw, &ev)
	}
	ev.Kind = it.Kind
	return ev, err
}

// Item is an event for one receiver to be sent.
type Item struct {
	ref
	raw   []byte
	fresh bool // not on disk: the disk did not take it
}

// Next gives the first event for a receiver from a sequence number on, of the
// incidents that skip does not name. Events come from disk; those that the
// disk has not taken for long come from memory.
func (s *Spool) Next(receiver string, from uint64, skip func(incident uint64) bool) (it Item, ok bool, err error) {
	s.mu.Lock()
	onDisk := s.count(receiver).pending
	for _, e := range s.unwritten {
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

func isFor(e *unwrittenEvent, receiver string) bool {
	return slices.ContainsFunc(e.to, func(t incident.Target) bool { return t.Receiver == receiver })
}

func (s *Spool) nextOnDisk(receiver string, from uint64, skip func(uint64) bool) (it Item, ok bool, err error) {
	// As of before the transaction: what is completed and written while it reads is
	// still in its queue, and no longer among the completed.
	s.mu.Lock()
	completed := maps.Clone(s.completed[receiver])
	s.mu.Unlock()
	err = s.view(func(t *transaction) error {
		q := t.queues.Bucket([]byte(receiver))
		if q == nil {
			return nil
		}
		c := q.Cursor()
		for k, v := c.Seek(sequenceKey(from)); k != nil; k, v = c.Next() {
			r, err := decodeRef(k, v)
			if err != nil {
				return err
			}
			if _, done := completed[r.Seq]; done || skip(r.Incident) {
				continue
			}
			it, ok = Item{ref: r, raw: bytes.Clone(t.events.Get(k))}, true
			return nil
		}
		return nil
	})
	return it, ok && err == nil, err
}

// nextFresh looks in memory, at what has waited too long for the disk.
func (s *Spool) nextFresh(receiver string, from uint64, skip func(uint64) bool) (Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, e := range s.unwritten {
		if now.Sub(e.since) < diskPatience {
			return Item{}, false
		}
		if _, over := s.completed[receiver][e.seq]; over || e.seq < from || skip(e.incident) {
			continue
		}
		for _, t := range e.to {
			if t.Receiver == receiver {
				return Item{ref: ref{e.seq, t.Kind, e.incident}, raw: e.raw, fresh: true}, true
			}
		}
	}
	return Item{}, false
}
