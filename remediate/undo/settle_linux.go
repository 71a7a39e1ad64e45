package undo

import (
	"errors"

	"lifeline/watchdog/ledger"
)

// Strike strikes what was undone out of the ledger and joins the rest.
func Strike(l *ledger.Ledger, results []Result) error {
	return errors.Join(Report{Results: results}.Err(), strike(l, results))
}

// strike takes what was undone out of the ledger.
func strike(l *ledger.Ledger, results []Result) error { return l.Done(undoneKeys(results)...) }

// undoneKeys names the entries that were undone.
func undoneKeys(results []Result) (keys []string) {
	for _, r := range results {
		if r.Err == nil {
			keys = append(keys, r.Entry.Key())
		}
	}
	return keys
}
