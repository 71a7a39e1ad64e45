package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/printable"
	"lifeline/watchdog/store"
)

// ErrNoIncident says that no incident has the id that was asked for.
var ErrNoIncident = errors.New("no such incident")

// ErrAmbiguous says that several incidents have ids that begin with what was
// asked for; the error lists them.
var ErrAmbiguous = errors.New("several incidents begin with this, name more of it")

// mostListed bounds the incidents that such an error lists.
const mostListed = 10

// found are the incidents whose ids begin with what was asked for.
type found struct {
	id       string
	exact    bool       // one has exactly this id: the first of list
	youngest []Incident // oldest first
	count    int
}

// add takes an incident, older ones first, if it is one of them.
func (f *found) add(i Incident) {
	twice := slices.ContainsFunc(f.youngest, func(o Incident) bool { return o.ID == i.ID }) // it ended just now
	if f.id == "" || f.exact || twice || !strings.HasPrefix(i.ID, f.id) {
		return
	}
	if f.count++; i.ID == f.id {
		f.exact, f.youngest = true, nil
	}
	f.youngest = append(f.youngest, i)
	if len(f.youngest) > mostListed {
		f.youngest = slices.Delete(f.youngest, 0, 1)
	}
}

// one gives the incident that was meant. The error is ErrNoIncident or
// ErrAmbiguous.
func (f *found) one() (Incident, error) {
	switch {
	case f.exact, f.count == 1:
		return f.youngest[0], nil
	case f.count == 0:
		return Incident{}, fmt.Errorf("incident %q: %w: `lifeline history` lists them", f.id, ErrNoIncident)
	}
	var b strings.Builder
	for _, i := range slices.Backward(f.youngest) {
		b.WriteString("\n  " + i.Row())
	}
	if n := f.count - len(f.youngest); n > 0 {
		fmt.Fprintf(&b, "\n  and %d older ones", n)
	}
	return Incident{}, fmt.Errorf("incident %q: %w:%s", f.id, ErrAmbiguous, b.String())
}

// past gives the last n incidents that are over, youngest first.
func (s *spool) past(n int) (out []Incident, err error) {
	err = s.view(func(t *tables) error {
		out, err = t.past(n)
		return err
	})
	return out, err
}

func (t *tables) past(n int) (out []Incident, err error) {
	c := t.tx.Bucket(bucketHistory).Cursor()
	for k, v := c.Last(); k != nil && len(out) < n; k, v = c.Prev() {
		var inc Incident
		if err := json.Unmarshal(v, &inc); err != nil {
			return nil, fmt.Errorf("incident %q: %w", k, err)
		}
		out = append(out, inc.brief())
	}
	return out, nil
}

// remembered gives the incident that is over or among open with this id, or the
// beginning of it, and what receivers took of it.
func (s *spool) remembered(id string, open ...Incident) (inc Incident, err error) {
	err = s.view(func(t *tables) error {
		inc, err = t.remembered(id, open)
		return err
	})
	return inc, err
}

func (t *tables) remembered(id string, open []Incident) (inc Incident, err error) {
	f := &found{id: id}
	if err := t.find(f); err != nil {
		return inc, err
	}
	for _, i := range open {
		f.add(i)
	}
	if inc, err = f.one(); err != nil {
		return inc, err
	}
	inc.Told, err = t.told(inc.ID)
	return inc, err
}

// find adds the incidents that are over; of very many only the youngest are read.
func (t *tables) find(f *found) error {
	var raw [][]byte
	c := t.tx.Bucket(bucketHistory).Cursor()
	for k, v := c.Seek([]byte(f.id)); f.id != "" && bytes.HasPrefix(k, []byte(f.id)); k, v = c.Next() {
		if raw = append(raw, v); len(raw) > mostListed {
			raw = slices.Delete(raw, 0, 1)
			f.count++
		}
	}
	for _, v := range raw {
		var i Incident
		if err := json.Unmarshal(v, &i); err != nil {
			return fmt.Errorf("incidents %q: %w", f.id, err)
		}
		f.add(i)
	}
	return nil
}

// told gives what receivers took of an incident.
func (t *tables) told(id string) (out []Delivery, err error) {
	prefix := append([]byte(id), 0)
	c := t.tx.Bucket(bucketTold).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		var d Delivery
		if err := json.Unmarshal(v, &d); err != nil {
			return nil, fmt.Errorf("delivery %q: %w", k, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// ReadHistory reads the last n incidents, youngest first, from the state
// directory of a daemon that does not run: a running one keeps the file locked
// and is to be asked itself.
func ReadHistory(dir string, n int) (out []Incident, err error) {
	err = readOnly(dir, func(t *tables) error {
		c := t.tx.Bucket(bucketOpen).Cursor()
		for k, v := c.Last(); k != nil && len(out) < n; k, v = c.Prev() {
			var inc incident
			if err := json.Unmarshal(v, &inc); err != nil {
				return fmt.Errorf("incident %q: %w", k, err)
			}
			out = append(out, inc.Incident.brief())
		}
		past, err := t.past(n - len(out))
		out = append(out, past...)
		return err
	})
	return out, err
}

// ReadIncident reads one incident likewise; the beginning of its id is enough.
func ReadIncident(dir, id string) (inc Incident, err error) {
	err = readOnly(dir, func(t *tables) error {
		var open []Incident
		err := t.tx.Bucket(bucketOpen).ForEach(func(k, v []byte) error {
			var i incident
			if err := json.Unmarshal(v, &i); err != nil {
				return fmt.Errorf("incident %q: %w", k, err)
			}
			open = append(open, i.Incident)
			return nil
		})
		if err != nil {
			return err
		}
		inc, err = t.remembered(id, open)
		return err
	})
	return inc, err
}

func readOnly(dir string, f func(*tables) error) error {
	path := filepath.Join(dir, File)
	db, err := store.Open(path, store.Options{ReadOnly: true})
	if err == nil {
		err = db.View(func(tx *bbolt.Tx) error {
			if whole, err := prepared(tx); err != nil || !whole {
				return errors.Join(errDamaged, err)
			}
			return f(newTables(tx))
		})
		if !store.Damaged(err) {
			err = errors.Join(err, db.Close())
		}
	}
	switch {
	case err == nil, errors.Is(err, ErrNoIncident), errors.Is(err, ErrAmbiguous):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("history %s: there is none: no daemon ran with this state directory (name its own with --state)", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("history %s: permission denied: run as root", path)
	case errors.Is(err, store.ErrInUse):
		return fmt.Errorf("history %s: a running daemon has it open: name its control socket with --socket, or its configuration with --config", path)
	case store.Damaged(err):
		return fmt.Errorf("history %s: it is damaged (%w): the next daemon puts it aside and begins a new one", path, err)
	}
	return fmt.Errorf("history %s: %w", path, err)
}

// Text is the incident for people: what was seen, what was done, who was told.
func (i Incident) Text() string {
	var b strings.Builder
	printable.Fprintf(&b, "%s\n", i.Summary)
	printable.Fprintf(&b, "  incident  %s%s\n", i.ID, ifSet(i.Test, " (a test: nothing happened)"))
	printable.Fprintf(&b, "  host      %s\n  severity  %s\n", i.Host, i.Severity)
	printable.Fprintf(&b, "  began     %s\n  ended     %s\n", shown(i.Started), ended(i))
	printable.Fprintf(&b, "  cause     %s on %s\n", i.Cause.Condition, i.Cause.Subject)
	if i.Cause.Evidence != "" {
		printable.Fprintf(&b, "            %s\n", i.Cause.Evidence)
	}
	b.WriteString("\nWhat was seen and done\n")
	for n, l := range i.Timeline {
		printable.Fprintf(&b, "  %s  %s\n", shown(l.At), l.Text)
		if n == keepFirst-1 && i.Omitted > 0 {
			printable.Fprintf(&b, "  (%d lines left out)\n", i.Omitted)
		}
	}
	if len(i.Told) > 0 {
		b.WriteString("\nWho was told\n")
	}
	for _, d := range i.Told {
		printable.Fprintf(&b, "  %s  %s: %s%s\n", shown(d.Taken), d.Receiver, d.Kind, late(d))
	}
	return b.String()
}

// Row is the incident as one line of a list.
func (i Incident) Row() string {
	lasted := "stands"
	if !i.Ended.IsZero() {
		lasted = brief(i.Ended.Sub(i.Started))
	}
	return printable.Sprintf("%s  %s  %-8s  %8s  %s", i.ID, shown(i.Started), i.Severity, lasted, i.Summary)
}

func ended(i Incident) string {
	if i.Ended.IsZero() {
		return "it stands"
	}
	return shown(i.Ended) + ", after " + brief(i.Ended.Sub(i.Started))
}

// late tells what delayed a delivery by a second or more.
func late(d Delivery) string {
	var words []string
	if wait := d.Taken.Sub(d.At); wait >= time.Second {
		words = append(words, brief(wait)+" after it happened")
	}
	if d.Attempts > 1 {
		words = append(words, fmt.Sprintf("%d attempts", d.Attempts))
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

func ifSet(set bool, text string) string {
	if set {
		return text
	}
	return ""
}

// shown is a time for people, in UTC, for logs of several hosts are compared.
func shown(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
