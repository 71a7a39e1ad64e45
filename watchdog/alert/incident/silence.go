package incident

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline/watchdog"
	"lifeline/watchdog/printable"
	"lifeline/watchdog/spelling"
)

// Silence keeps conditions from being told for a time. Its patterns may hold
// "*" for any text and "?" for any character; an empty one fits everything.
type Silence struct {
	ID        string    `json:"id"`
	Condition string    `json:"condition,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Severity  string    `json:"severity,omitempty"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
	By        string    `json:"by,omitempty"`
	Comment   string    `json:"comment,omitempty"`
}

const (
	MaxSilences = 100
	maxSilence  = 90 * 24 * time.Hour
)

// Validate says what is wrong with a silence that a person asks for.
func (s Silence) Validate(now time.Time) error {
	switch {
	case s.Condition == "" && s.Subject == "" && s.Severity == "":
		return errors.New(`silence: it names nothing: give a condition, a subject or a severity ("*" for all)`)
	case !s.Until.After(now):
		return errors.New("silence: it ends before it begins")
	case s.Until.Sub(now) > maxSilence:
		return fmt.Errorf("silence: longer than %d days: what is never to be told belongs into the configuration", maxSilence/(24*time.Hour))
	}
	for _, text := range []string{s.Condition, s.Subject, s.Severity, s.By, s.Comment} {
		if len(text) > MaxText || Unprintable(text) || !utf8.ValidString(text) {
			return fmt.Errorf("silence: at most %d printable bytes in a field", MaxText)
		}
	}
	if err := matchesKnown("condition", s.Condition, watchdog.ConditionNames()); err != nil {
		return err
	}
	return matchesKnown("severity", s.Severity, []watchdog.Severity{watchdog.Info, watchdog.Warning, watchdog.Critical})
}

// matchesKnown refuses a pattern that fits nothing there is: whoever made it would wait
// for a silence that never comes.
func matchesKnown[T ~string](what, pattern string, known []T) error {
	names := make([]string, len(known))
	for i, k := range known {
		if names[i] = string(k); matches(pattern, names[i]) {
			return nil
		}
	}
	hint := ""
	if near, ok := nearestName(pattern, names); ok {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Errorf("silence: no %s fits %q%s (there are %s)", what, pattern, hint, strings.Join(names, ", "))
}

// nearestName gives the name that one was probably meant to be: one that goes on
// as it begins, in whatever case, or one that is spelt much like it.
func nearestName(word string, names []string) (string, bool) {
	var longer []string
	for _, n := range names {
		if word != "" && strings.HasPrefix(strings.ToLower(n), strings.ToLower(word)) {
			longer = append(longer, n)
		}
	}
	if len(longer) == 1 {
		return longer[0], true
	}
	return spelling.Nearest(word, names)
}

// Row is the silence as one line of a list.
func (s Silence) Row() string {
	var words []string
	for _, w := range []struct{ what, pattern string }{{"condition", s.Condition}, {"subject", s.Subject}, {"severity", s.Severity}} {
		if w.pattern != "" && w.pattern != "*" {
			words = append(words, fmt.Sprintf("%s %q", w.what, w.pattern))
		}
	}
	what := "everything"
	if len(words) > 0 {
		what = strings.Join(words, ", ")
	}
	row := printable.Sprintf("%s  until %s  %s", s.ID, FormatTime(s.Until), what)
	if s.Comment != "" {
		row += printable.Sprintf("  (%s)", s.Comment)
	}
	return row
}

// MatchesSubject tells whether a condition with this subject can be covered.
func (s Silence) MatchesSubject(subject string) bool { return matches(s.Subject, subject) }

// covers tells whether the silence holds for a condition.
func (s Silence) covers(c ConditionState, now time.Time) bool {
	return !now.Before(s.From) && now.Before(s.Until) &&
		matches(s.Condition, string(c.Condition)) && matches(s.Subject, c.Subject) && matches(s.Severity, string(c.Severity))
}

// matches matches text against a pattern; the time is at most the product of
// their lengths.
func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	p, t := []rune(pattern), []rune(text)
	star, mark, i := -1, 0, 0 // the last star, where the text stood at it, the pattern's place
	for k := 0; k < len(t); {
		switch {
		case i < len(p) && (p[i] == '?' || p[i] == t[k]) && p[i] != '*':
			i, k = i+1, k+1
		case i < len(p) && p[i] == '*':
			star, mark = i, k
			i++
		case star >= 0:
			mark++
			i, k = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
