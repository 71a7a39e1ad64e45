package facts

import (
	"errors"
	"fmt"

	"lifeline/watchdog/store"
)

// Say has f called with what became of a file that was damaged or deleted while
// the task runs. It is called before that.
func (j *Store) Say(f func(text string)) { j.said = f }

// note keeps for Health what was mended, and says it.
func (j *Store) note(text string) {
	j.mu.Lock()
	j.health.Mended = text
	j.mu.Unlock()
	if j.said != nil {
		j.said(text)
	}
}

// restore writes the file again that somebody deleted or replaced under the
// running daemon. Until that is possible nothing is written.
func (j *Store) restore() error {
	db := j.db.Load()
	if db == nil || !errors.Is(db.Lost(), store.ErrLost) {
		return nil
	}
	if err := db.Restore(); err != nil {
		return fmt.Errorf("the journal was deleted or replaced under the running daemon: %w", err)
	}
	fresh, err := openDB(j.path)
	if err != nil {
		return fmt.Errorf("the journal was deleted or replaced under the running daemon: %w", err)
	}
	if !j.db.CompareAndSwap(db, fresh) {
		return fresh.Close() // it was damaged as well, and is begun anew
	}
	j.note("the journal was deleted or replaced under the running daemon; it is there again")
	return db.Close()
}
