package rules

import (
	"fmt"

	"lifeline/probes/iptables/lex"
)

// ParseError is why a rule file does not load.
type ParseError struct {
	File string
	// Line is 1-based, counted as the restore tool counts.
	Line int
	// Column is the 1-based byte of the line, 0 where the whole line is meant.
	Column int
	// Text is the offending line, without its end.
	Text string
	// Why says what is wrong.
	Why string
}

// Error is "file:line:column: why: text", without what is not known.
func (e *ParseError) Error() string {
	pos := fmt.Sprintf("%s:%d", e.File, e.Line)
	if e.Column > 0 {
		pos += fmt.Sprintf(":%d", e.Column)
	}
	if e.Text == "" {
		return pos + ": " + e.Why
	}
	return fmt.Sprintf("%s: %s: %q", pos, e.Why, lex.Clip(e.Text, 200))
}
