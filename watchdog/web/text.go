package web

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/printable"
)

// Text writes the status for people: what is wrong first, then the links, the
// targets, the transfers, and what this host allows.
func (st Status) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := func(format string, args ...any) { _, _ = printable.Fprintf(tw, format, args...) }
	mode := ""
	if st.DryRun {
		mode = ", dry run: nothing is touched"
	}
	p("lifeline %s, pid %d, up %s%s\n", st.Version, st.PID, st.At.Sub(st.Started).Round(time.Second), mode)
	p("management %s, guard %s, ping %s\n", st.Management, st.Guard, st.Ping)
	if w := st.DryRunCounts; w != nil {
		p("would have limited transfers %d times, paused them %d times, made %d shapers\n", w.Limits, w.Pauses, w.Shapers)
	}
	switch {
	case st.Journal.Err != "":
		p("the journal is not written: %s\n", st.Journal.Err)
	case !st.Journal.Back.IsZero():
		p("the journal could not be opened at the start, and is written since %s\n", st.Journal.Back.Format(time.TimeOnly))
	}
	if m := st.Journal.Recovery; m != "" {
		p("%s\n", m)
	}
	switch pg := st.Page; {
	case pg.Err != "":
		p("metrics are not served: %s\n", pg.Err)
	case pg.Address != "":
		p("metrics at http://%s/metrics\n", pg.Address)
	}
	if st.Reboot.Known {
		p("after a reboot: %s: %s\n", st.Reboot.Verdict, st.Reboot.Reason)
	}
	st.conditions(p)
	st.links(p)
	st.paths(p)
	st.transfers(p)
	st.budgets(p)
	st.capabilities(p)
	return tw.Flush()
}

type printer func(format string, args ...any)

func (st Status) conditions(p printer) {
	p("\n")
	if len(st.Conditions) == 0 {
		p("no active conditions\n")
		return
	}
	for _, c := range st.Conditions {
		p("%s\t%s\t%s\tfor %s\t%s\n", strings.ToUpper(string(c.Severity)), c.Name, c.Subject, ago(st.At, c.Since), c.Evidence)
	}
}

func (st Status) links(p printer) {
	p("\nLINK\tRX\tTX\tDELAY\tCARRIER\n")
	for _, l := range st.Links {
		carrier := "yes"
		if !l.Carrier {
			carrier = "no"
		}
		p("%s\t%s\t%s\t%s\t%s\n", l.Name, rate(l.Rates[watchdog.Rx]), rate(l.Rates[watchdog.Tx]), delay(l), carrier)
	}
	for _, a := range st.Absent {
		p("%s\n", a)
	}
	for _, c := range st.Control {
		p("%s %s\t%s\t%d transfers\t%s\t%s\n", c.Name, c.Direction, c.Phase, c.Transfers, capacity(c), c.Why)
	}
	if st.SmallBursts {
		p("TCP bursts are kept small: net.ipv4.tcp_tso_rtt_log is 0 for now\n")
	}
}

func (st Status) paths(p printer) {
	p("\nTARGET\tFOUND BY\tRTT\tBASE\tLOSS\n")
	for _, t := range st.Paths {
		if !t.Known {
			p("%s\t%s\tunknown\t%s\t%s\n", t.Target, t.Why, ms(t.Base), loss(t))
			continue
		}
		p("%s\t%s\t%s\t%s\t%s%s\n", t.Target, t.Why, ms(t.RTT), ms(t.Base), loss(t), standing(t))
	}
	if len(st.Paths) == 0 {
		p("none: delay is judged by the transfers' own TCP alone\n")
	}
}

func (st Status) transfers(p printer) {
	p("\nTRANSFER\tWAY\tPEER\tRATE\tBYTES\tAGE\tSTATE\tAT\n")
	for _, t := range st.Transfers {
		p("%s\t%s %s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Via, t.Direction, peer(t), watchdog.Mbit(t.Rate),
			size(float64(t.Bytes)), t.Age.Round(time.Second), t.Mechanism, place(t))
	}
	for i := range st.Transfers {
		if t := &st.Transfers[i]; t.Unheld != "" {
			p("%s %s\n", t.ID, t.Wish())
		}
	}
	if len(st.Transfers) == 0 {
		p("none\n")
	}
}

// budgets shows for each remedy whoever has used most of his budget.
func (st Status) budgets(p printer) {
	most, others := map[watchdog.Remedy]watchdog.Spent{}, map[watchdog.Remedy]int{}
	for _, s := range st.Spent {
		m, ok := most[s.Remedy]
		if ok {
			others[s.Remedy]++
		}
		if s.Used > m.Used {
			most[s.Remedy] = s
		}
	}
	lines := 0
	line := func(format string, args ...any) {
		if lines++; lines == 1 {
			p("\nBUDGET\tOF\tUSED\n")
		}
		p(format, args...)
	}
	for _, remedy := range slices.Sorted(maps.Keys(most)) {
		s, more := most[remedy], ""
		if n := others[remedy]; n > 0 {
			more = fmt.Sprintf(", and %d more with less", n)
		}
		line("%s\t%s\t%d of %d within an hour%s\n", remedy, s.Target, s.Used, s.PerHour, more)
	}
	for _, c := range st.Control {
		if c.Needless >= time.Minute {
			line("limits\t%s %s\t%s without a sign of need\n", c.Name, c.Direction, c.Needless.Round(time.Second))
		}
	}
}

func (st Status) capabilities(p printer) {
	p("\nMECHANISM\tAVAILABLE\n")
	for _, c := range st.Capabilities {
		switch {
		case c.Available:
			p("%s\tyes\n", c.Name)
		case c.Left != "":
			p("%s\tno: %s; left: %s\n", c.Name, c.Why, c.Left)
		default:
			p("%s\tno: %s\n", c.Name, c.Why)
		}
	}
}

func ago(now, since time.Time) string { return now.Sub(since).Round(time.Second).String() }

func rate(r watchdog.Rates) string {
	if !r.Known {
		return "unknown"
	}
	return watchdog.Mbit(r.Bytes)
}

func delay(l watchdog.Link) string {
	rx, tx := l.Delay[watchdog.Rx], l.Delay[watchdog.Tx]
	switch {
	case !rx.Known && !tx.Known:
		return "unknown"
	case rx.Known && rx.Passive || tx.Known && tx.Passive:
		return ms(max(rx.Queue, tx.Queue)) + " (passive)"
	}
	return ms(max(rx.Queue, tx.Queue))
}

func capacity(c watchdog.LinkState) string {
	if c.Capacity == 0 {
		return "capacity unknown"
	}
	return "of " + watchdog.Mbit(c.Capacity)
}

func ms(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// standing says how a target's delay is taken, where that is not as usual.
func standing(p watchdog.Path) string {
	switch {
	case p.Contradicted:
		return ", not believed: no transfer meets the queue that it tells of"
	case p.Apart:
		return ", judged by itself: its queue is beyond that of the others"
	}
	return ""
}

// loss is of the last half minute. Of a target that does not answer now it
// also tells for how long: what it answered before that still counts.
func loss(p watchdog.Path) string {
	switch {
	case !p.Answered && p.Loss != p.Loss: // NaN
		return "unknown: it has not answered yet"
	case p.Silent > 0 && p.Loss != p.Loss:
		return "unknown, silent for " + p.Silent.Round(time.Second).String()
	case p.Loss != p.Loss:
		return "unknown"
	case p.Silent > 0:
		return fmt.Sprintf("%.0f %%, silent for %s", p.Loss*100, p.Silent.Round(time.Second))
	}
	return fmt.Sprintf("%.0f %%", p.Loss*100)
}

func peer(t Transfer) string {
	if !t.Socket.Remote.IsValid() {
		return "unknown"
	}
	return t.Socket.Remote.Addr().String()
}

// place is where a transfer is: its module or path, and the file of the moment.
func place(t Transfer) string {
	at := t.Path
	if t.Module != "" {
		at = "[" + t.Module + "]"
	}
	if t.File.Name == "" {
		return at
	}
	if t.File.Size > 0 && t.File.Pos >= 0 {
		return fmt.Sprintf("%s %s %d%%", at, t.File.Name, 100*t.File.Pos/t.File.Size)
	}
	return at + " " + t.File.Name
}

// size writes a size with a binary unit.
func size(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if v < 1024 {
			return fmt.Sprintf("%.4g %s", v, unit)
		}
		v /= 1024
	}
	return fmt.Sprintf("%.4g TiB", v)
}
