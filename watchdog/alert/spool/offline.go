package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/store"
)

// ReadHistory reads the last n incidents, youngest first, from the state
// directory of a daemon that does not run: a running one keeps the file locked
// and is to be asked itself.
func ReadHistory(dir string, n int) (out []incident.Incident, err error) {
	err = readOnly(dir, func(t *transaction) error {
		c := t.tx.Bucket(bucketOpen).Cursor()
		for k, v := c.Last(); k != nil && len(out) < n; k, v = c.Prev() {
			var inc incident.Open
			if err := json.Unmarshal(v, &inc); err != nil {
				return fmt.Errorf("incident %q: %w", k, err)
			}
			out = append(out, inc.Incident.WithoutTimeline())
		}
		past, err := t.history(n - len(out))
		out = append(out, past...)
		return err
	})
	return out, err
}

// ReadIncident reads one incident likewise; the beginning of its id is enough.
func ReadIncident(dir, id string) (inc incident.Incident, err error) {
	err = readOnly(dir, func(t *transaction) error {
		var open []incident.Incident
		err := t.tx.Bucket(bucketOpen).ForEach(func(k, v []byte) error {
			var i incident.Open
			if err := json.Unmarshal(v, &i); err != nil {
				return fmt.Errorf("incident %q: %w", k, err)
			}
			open = append(open, i.Incident)
			return nil
		})
		if err != nil {
			return err
		}
		inc, err = t.incident(id, open)
		return err
	})
	return inc, err
}

func readOnly(dir string, f func(*transaction) error) error {
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
