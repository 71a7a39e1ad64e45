package incident

import (
	"fmt"
	"strings"
	"time"

	"lifeline/watchdog/printable"
)

// Text is the incident for people: what was seen, what was done, who was told.
func (i Incident) Text() string {
	var b strings.Builder
	printable.Fprintf(&b, "%s\n", i.Summary)
	printable.Fprintf(&b, "  incident  %s%s\n", i.ID, IfSet(i.Test, " (a test: nothing happened)"))
	printable.Fprintf(&b, "  host      %s\n  severity  %s\n", i.Host, i.Severity)
	printable.Fprintf(&b, "  began     %s\n  ended     %s\n", FormatTime(i.Started), ended(i))
	printable.Fprintf(&b, "  cause     %s on %s\n", i.Cause.Condition, i.Cause.Subject)
	if i.Cause.Evidence != "" {
		printable.Fprintf(&b, "            %s\n", i.Cause.Evidence)
	}
	b.WriteString("\nWhat was seen and done\n")
	for n, l := range i.Timeline {
		printable.Fprintf(&b, "  %s  %s\n", FormatTime(l.At), l.Text)
		if n == keepFirst-1 && i.Omitted > 0 {
			printable.Fprintf(&b, "  (%d lines left out)\n", i.Omitted)
		}
	}
	if len(i.Told) > 0 {
		b.WriteString("\nWho was told\n")
	}
	for _, d := range i.Told {
		printable.Fprintf(&b, "  %s  %s: %s%s\n", FormatTime(d.Taken), d.Receiver, d.Kind, lateness(d))
	}
	return b.String()
}

// Row is the incident as one line of a list.
func (i Incident) Row() string {
	lasted := "ongoing"
	if !i.Ended.IsZero() {
		lasted = FormatDuration(i.Ended.Sub(i.Started))
	}
	return printable.Sprintf("%s  %s  %-8s  %8s  %s", i.ID, FormatTime(i.Started), i.Severity, lasted, i.Summary)
}

func ended(i Incident) string {
	if i.Ended.IsZero() {
		return "ongoing"
	}
	return FormatTime(i.Ended) + ", after " + FormatDuration(i.Ended.Sub(i.Started))
}

// lateness tells what delayed a delivery by a second or more.
func lateness(d Delivery) string {
	var words []string
	if wait := d.Taken.Sub(d.At); wait >= time.Second {
		words = append(words, FormatDuration(wait)+" after it happened")
	}
	if d.Attempts > 1 {
		words = append(words, fmt.Sprintf("%d attempts", d.Attempts))
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

func IfSet(set bool, text string) string {
	if set {
		return text
	}
	return ""
}
