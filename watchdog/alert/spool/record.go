package spool

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"lifeline/watchdog/alert/incident"
)

// ref is one event in one receiver's queue.
type ref struct {
	Seq      uint64 // of the event; rising, made of the time it came in
	Kind     incident.Kind
	Incident uint64 // digest of the incident's id
}

// key is a place for a value in one of the plain buckets.
type key struct{ bucket, key string }

// kindCodes are the kinds as they are written in a queue.
var kindCodes = []incident.Kind{incident.Firing, incident.Updated, incident.Reminder, incident.Resolved, incident.Heartbeat, incident.Dropped}

func (r ref) encode() []byte {
	b := make([]byte, 9)
	for i, k := range kindCodes {
		if k == r.Kind {
			b[0] = byte(i)
		}
	}
	binary.BigEndian.PutUint64(b[1:], r.Incident)
	return b
}

// decodeRef reads a queue's entry.
func decodeRef(k, v []byte) (ref, error) {
	if len(k) != 8 || len(v) != 9 || int(v[0]) >= len(kindCodes) {
		return ref{}, fmt.Errorf("%w: queue entry %x: %x", errDamaged, k, v)
	}
	return ref{binary.BigEndian.Uint64(k), kindCodes[v[0]], binary.BigEndian.Uint64(v[1:])}, nil
}

func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// Digest is short for an incident's id.
func Digest(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// Completion is the end of one event's way to one receiver.
type Completion struct {
	Receiver  string
	Seq       uint64
	Delivered *incident.Delivery // taken by the receiver
	Refused   *DeadLetter        // refused by it
}

// queuedEvent is an event to be written, for the receivers that have not taken
// it meanwhile.
type queuedEvent struct {
	seq      uint64
	incident uint64
	raw      []byte
	to       []incident.Target
}

// SpooledAt is when the event with this sequence number came in.
func SpooledAt(seq uint64) time.Time { return time.Unix(0, int64(seq)).UTC() }
