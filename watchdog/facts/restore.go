package facts

import (
	"errors"
	"fmt"

	"lifeline/watchdog/store"
)

// Say has f called with what became of a file that was damaged or deleted while
// the task runs. It is called before that.
func (s *Store) Say(f func(text string)) { s.said = f }

// recovered keeps for Health what became of a damaged file, and says it.
func (s *Store) recovered(text string) {
	s.mu.Lock()
	s.health.Recovery = text
	s.mu.Unlock()
	if s.said != nil {
		s.said(text)
	}
}

// restore writes the file again that somebody deleted or replaced under the
// running daemon. Until that is possible nothing is written.
func (s *Store) restore() error {
	db := s.db.Load()
	if db == nil || !errors.Is(db.Lost(), store.ErrLost) {
		return nil
	}
	if err := db.Restore(); err != nil {
		return fmt.Errorf("the journal was deleted or replaced under the running daemon: %w", err)
	}
	fresh, err := openDB(s.path)
	if err != nil {
		return fmt.Errorf("the journal was deleted or replaced under the running daemon: %w", err)
	}
	if !s.db.CompareAndSwap(db, fresh) {
		return fresh.Close() // it was damaged as well, and is begun anew
	}
	s.recovered("the journal was deleted or replaced under the running daemon; it is there again")
	return db.Close()
}
