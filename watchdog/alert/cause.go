package alert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline/watchdog"
)

// causeRank orders conditions by how much they explain: a fault of the link
// explains its saturation, saturation explains silence, silence explains
// nothing. A name that is not listed ranks as defaultCauseRank.
var causeRank = map[watchdog.ConditionName]int{
	watchdog.LinkDown:              90,
	watchdog.LinkErrors:            80,
	watchdog.NotOurQueue:           70,
	watchdog.LinkSaturated:         60,
	watchdog.RemedyFailed:          30,
	watchdog.Unprotected:           20,
	watchdog.ProbeBlind:            15,
	watchdog.ManagementUnreachable: 10,
	watchdog.ManagementPeerSilent:  5,
	watchdog.TargetContradicted:    4,
}

const defaultCauseRank = 50

func rankOf(name watchdog.ConditionName) int {
	if r, ok := causeRank[name]; ok {
		return r
	}
	return defaultCauseRank
}

// weight orders severities; an unknown one is a warning.
func weight(s watchdog.Severity) int {
	switch s {
	case watchdog.Info:
		return 1
	case watchdog.Critical:
		return 3
	default:
		return 2
	}
}

// worst is the heavier severity.
func worst(a, b watchdog.Severity) watchdog.Severity {
	if a == "" || b != "" && weight(b) > weight(a) {
		return b
	}
	return a
}

// phrase says a condition in words.
func phrase(c ConditionState) string {
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

// summarise says in one line what an incident is: the worst first.
func summarise(host string, kind Kind, cs []ConditionState, lasted time.Duration) string {
	cs = slices.Clone(cs)
	slices.SortStableFunc(cs, func(a, b ConditionState) int {
		return cmp.Or(cmp.Compare(weight(b.Severity), weight(a.Severity)), cmp.Compare(rankOf(b.Condition), rankOf(a.Condition)))
	})
	var words []string
	for _, c := range cs[:min(len(cs), maxPhrases)] {
		words = append(words, phrase(c))
	}
	text := host + ": " + strings.Join(words, ", ")
	if n := len(cs) - maxPhrases; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	switch kind {
	case Resolved:
		text += " (over after " + brief(lasted) + ")"
	case Reminder:
		text += " (for " + brief(lasted) + " now)"
	}
	return text
}

// brief writes a duration for people.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// clip makes s valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
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
