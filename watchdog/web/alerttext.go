package web

import (
	"io"
	"strings"
	"time"

	"lifeline/watchdog/alert"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/printable"
)

// Text writes how alerting does, for people.
func (a Alerts) Text(w io.Writer) error {
	var b strings.Builder
	st := a.Status
	printable.Fprintf(&b, "%d open incidents; spool: %s of %s, %d incidents remembered\n",
		st.Open, size(float64(st.Spool.Bytes)), size(float64(st.Spool.Max)), st.Spool.History)
	spoolTrouble(&b, st)
	if len(st.Receivers) == 0 {
		b.WriteString("no receiver is configured: add [[receiver]] tables, docs/alerts.md tells how\n")
	}
	for _, r := range st.Receivers {
		receiverText(&b, r)
	}
	for _, s := range a.Silences {
		printable.Fprintf(&b, "silence %s\n", s.Row())
	}
	for _, d := range a.DeadLetters {
		printable.Fprintf(&b, "refused by %s at %s: event %s (%s), %s: %s\n", d.Receiver, clock(d.Refused), d.Event, d.Kind, d.Summary, d.Error)
	}
	if len(a.DeadLetters) > 0 {
		b.WriteString("`lifeline alerts resend [RECEIVER]` sends them again\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// spoolTrouble says what is wrong with the spool.
func spoolTrouble(b *strings.Builder, st alert.Status) {
	if s := st.Spool; s.Err != "" {
		printable.Fprintf(b, "  the disk does not take alerts: %s; %d wait in memory\n", s.Err, s.Unwrit)
	}
	if s := st.Spool; s.PutAside != "" {
		printable.Fprintf(b, "  a damaged spool was put aside as %s\n", s.PutAside)
	}
	if s := st.Spool; !s.Restored.IsZero() {
		printable.Fprintf(b, "  the spool was deleted or replaced under the daemon, and is there again since %s\n", s.Restored.Format(time.TimeOnly))
	}
	if st.Overrun > 0 {
		printable.Fprintf(b, "  %d cycles of the control loop found the queue full; their conditions were looked at later\n", st.Overrun)
	}
}

// receiverText is a receiver, and below it what is wrong with it.
func receiverText(b *strings.Builder, r notify.ReceiverStatus) {
	if r.Type == "" {
		printable.Fprintf(b, "receiver %s is no longer configured: %d wait, %d refused\n", r.Name, r.Pending, r.Dead)
		return
	}
	printable.Fprintf(b, "receiver %s (%s, %s): %d sent, %d wait, %d refused", r.Name, r.Type, r.Target, r.Sent, r.Pending, r.Dead)
	if r.Held > 0 {
		printable.Fprintf(b, ", %d ends held", r.Held)
	}
	if r.Dropped > 0 {
		printable.Fprintf(b, ", %d dropped because the spool was full", r.Dropped)
	}
	b.WriteByte('\n')
	if r.LastErr != "" {
		printable.Fprintf(b, "  at %s: %s\n", clock(r.LastErrAt), r.LastErr)
	}
	if r.Pending > 0 && !r.Oldest.IsZero() {
		printable.Fprintf(b, "  the one in hand came in at %s", clock(r.Oldest))
		if !r.NextTry.IsZero() {
			printable.Fprintf(b, ", next try at %s", clock(r.NextTry))
		}
		b.WriteByte('\n')
	}
}

// clock is a time for people, in UTC as in the history.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
