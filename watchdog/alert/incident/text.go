package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline/watchdog"
)

// Describe says a condition in words.
func Describe(c ConditionState) string {
	switch c.Condition {
	case watchdog.LinkSaturated:
		return "link " + c.Subject + " saturated"
	case watchdog.ManagementUnreachable:
		return "management unreachable"
	case watchdog.ManagementPeerSilent:
		return "management host " + c.Subject + " silent"
	case watchdog.TargetContradicted:
		return "delay of " + c.Subject + " is not believed"
	case watchdog.LinkErrors:
		return "errors on link " + c.Subject
	case watchdog.LinkDown:
		return "link " + c.Subject + " down"
	case watchdog.ProbeBlind:
		return "probe " + c.Subject + " cannot look"
	case watchdog.Unprotected:
		return c.Subject + " unprotected"
	case watchdog.NotOurQueue:
		return "queue on " + c.Subject + " is not made by rsync"
	case watchdog.RemedyFailed:
		return "remedy " + c.Subject + " failed"
	}
	return fmt.Sprintf("%s on %s", c.Condition, c.Subject)
}

// maxPhrases is how many conditions a summary names.
const maxPhrases = 3

// summary says in one line what an incident is: the worst first.
func summary(host string, kind Kind, cs []ConditionState, lasted time.Duration) string {
	cs = slices.Clone(cs)
	slices.SortStableFunc(cs, func(a, b ConditionState) int {
		return cmp.Or(cmp.Compare(Weight(b.Severity), Weight(a.Severity)), cmp.Compare(rankOf(b.Condition), rankOf(a.Condition)))
	})
	var words []string
	for _, c := range cs[:min(len(cs), maxPhrases)] {
		words = append(words, Describe(c))
	}
	text := host + ": " + strings.Join(words, ", ")
	if n := len(cs) - maxPhrases; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	switch kind {
	case Resolved:
		text += " (over after " + FormatDuration(lasted) + ")"
	case Reminder:
		text += " (for " + FormatDuration(lasted) + " now)"
	}
	return text
}

// FormatDuration writes a duration for people.
func FormatDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// Clip makes s valid UTF-8 of at most n bytes.
func Clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	s = s[:n-len("…")]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// FormatTime is a time for people, in UTC, for logs of several hosts are compared.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// Unprintable tells whether a text holds control characters, or bytes that are no
// UTF-8.
func Unprintable(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' })
}
