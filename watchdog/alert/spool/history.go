package spool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"lifeline/watchdog/alert/incident"
)

// History gives the last n incidents that are over, youngest first.
func (s *Spool) History(n int) (out []incident.Incident, err error) {
	err = s.view(func(t *transaction) error {
		out, err = t.history(n)
		return err
	})
	return out, err
}

func (t *transaction) history(n int) (out []incident.Incident, err error) {
	c := t.tx.Bucket(bucketHistory).Cursor()
	for k, v := c.Last(); k != nil && len(out) < n; k, v = c.Prev() {
		var inc incident.Incident
		if err := json.Unmarshal(v, &inc); err != nil {
			return nil, fmt.Errorf("incident %q: %w", k, err)
		}
		out = append(out, inc.WithoutTimeline())
	}
	return out, nil
}

// Incident gives the incident that is over or among open with this id, or the
// beginning of it, and what receivers took of it.
func (s *Spool) Incident(id string, open ...incident.Incident) (inc incident.Incident, err error) {
	err = s.view(func(t *transaction) error {
		inc, err = t.incident(id, open)
		return err
	})
	return inc, err
}

func (t *transaction) incident(id string, open []incident.Incident) (inc incident.Incident, err error) {
	f := &idMatches{id: id}
	if err := t.find(f); err != nil {
		return inc, err
	}
	for _, i := range open {
		f.add(i)
	}
	if inc, err = f.one(); err != nil {
		return inc, err
	}
	inc.Told, err = t.deliveries(inc.ID)
	return inc, err
}

// find adds the incidents that are over; of very many only the youngest are read.
func (t *transaction) find(f *idMatches) error {
	var raw [][]byte
	c := t.tx.Bucket(bucketHistory).Cursor()
	for k, v := c.Seek([]byte(f.id)); f.id != "" && bytes.HasPrefix(k, []byte(f.id)); k, v = c.Next() {
		if raw = append(raw, v); len(raw) > maxListed {
			raw = slices.Delete(raw, 0, 1)
			f.count++
		}
	}
	for _, v := range raw {
		var i incident.Incident
		if err := json.Unmarshal(v, &i); err != nil {
			return fmt.Errorf("incidents %q: %w", f.id, err)
		}
		f.add(i)
	}
	return nil
}

// deliveries gives what receivers took of an incident.
func (t *transaction) deliveries(id string) (out []incident.Delivery, err error) {
	prefix := append([]byte(id), 0)
	c := t.tx.Bucket(bucketTold).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		var d incident.Delivery
		if err := json.Unmarshal(v, &d); err != nil {
			return nil, fmt.Errorf("delivery %q: %w", k, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// volume is how much the history holds.
type volume struct {
	incidents int
	bytes     int64
}

// boundHistory removes the oldest incidents until neither bound is passed;
// their ids begin with the time. Known is what there was before this
// transaction.
func (t *transaction) boundHistory(known volume, most volume) error {
	h := t.tx.Bucket(bucketHistory)
	for known.incidents+t.added.incidents > most.incidents || known.bytes+t.added.bytes > most.bytes {
		id, v := h.Cursor().First()
		if id == nil {
			return nil
		}
		id = bytes.Clone(id)
		t.added.incidents--
		t.added.bytes -= int64(len(v))
		if err := t.deleteDeliveries(id); err != nil {
			return err
		}
		if err := h.Delete(id); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) deleteDeliveries(id []byte) error {
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
