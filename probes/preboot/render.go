package preboot

import (
	"fmt"
	"io"
	"strings"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/watchdog/printable"
)

// Colours of the human output (ECMA-48).
const (
	red    = "\x1b[1;31m"
	green  = "\x1b[1;32m"
	yellow = "\x1b[1;33m"
	plain  = "\x1b[0m"
)

const (
	// maxShown bounds lists in the human output: it is one screen.
	maxShown = 4
	// maxLeftOut is how many of what the question does without are shown.
	maxLeftOut = 8
	// textWidth is where long lines are cut.
	textWidth = 160
)

// Text writes the report for people, with colours if colour is set: the
// verdict first, then the checks, then what to do about failures.
func (r Report) Text(w io.Writer, colour bool) error {
	t := printer{colour: colour}
	t.line("%s: %s", t.paint(verdictColour(r.Verdict), strings.ToUpper(string(r.Verdict))), r.Reason)
	t.line("")
	for _, c := range r.Checks {
		t.line("  %s  %-9s  IPv%d %s  %s", t.paint(statusColour(c.Status), fmt.Sprintf("%-7s", c.Status)), c.Name, c.Family, c.Iface, c.Summary)
	}
	for _, f := range r.Files {
		s := map[iptables.Load]Status{iptables.LoadOK: OK, iptables.LoadFails: Fail}[f.Load]
		if s == "" {
			s = Unclear
		}
		what := "loads"
		if s != OK {
			what = loadWords(f.Load, f.Error)
		}
		t.line("  %s  %-9s  %s  %s", t.paint(statusColour(s), fmt.Sprintf("%-7s", s)), f.Role, f.Path, what)
	}
	for _, a := range r.Assumptions {
		t.line("  %s  %-9s  %s", t.paint(yellow, fmt.Sprintf("%-7s", Unclear)), "machine", a.Why)
	}
	t.boot(r.Boot)
	for _, c := range r.Checks {
		t.details(c)
	}
	t.questions(r.Questions)
	for n, what := range r.LeftOut {
		if n == maxLeftOut {
			t.line("left out: and %d more (--json shows them)", len(r.LeftOut)-n)
			break
		}
		t.whole("left out: %s", what)
	}
	for n, note := range r.Notes {
		if n == maxShown {
			t.line("note: and %d more (--json shows them)", len(r.Notes)-n)
			break
		}
		t.line("note: %s", note)
	}
	t.line("not checked: %s", strings.Join(r.NotChecked, ", "))
	_, err := io.WriteString(w, t.String())
	return err
}

type printer struct {
	strings.Builder
	colour bool
}

// line writes one line, cut to a readable width.
func (t *printer) line(format string, args ...any) {
	s := t.clean(format, args...)
	if r := []rune(s); len(r) > textWidth {
		s = string(r[:textWidth-3]) + "..."
	}
	t.WriteString(s + "\n")
}

// whole writes one line however long it is: it is there to be copied.
func (t *printer) whole(format string, args ...any) {
	t.WriteString(t.clean(format, args...) + "\n")
}

// clean formats without what a terminal would act on in the arguments, which
// come out of rule files.
func (t *printer) clean(format string, args ...any) string {
	return strings.TrimRight(printable.Sprintf(format, args...), " ")
}

func (t *printer) paint(colour, s string) printable.Trusted {
	s = printable.String(s)
	if !t.colour {
		return printable.Trusted(s)
	}
	return printable.Trusted(colour + s + plain)
}

func verdictColour(v Verdict) string {
	return map[Verdict]string{Safe: green, Unsafe: red, Unknown: yellow}[v]
}

func statusColour(s Status) string {
	return map[Status]string{OK: green, Fail: red, Unclear: yellow}[s]
}

// details shows why a check is not ok: the rule, a packet, the fix.
func (t *printer) details(c CheckResult) {
	if c.Status == OK && len(c.Warnings) == 0 {
		return
	}
	if c.Name == Rehearsal && c.Status != Fail && len(c.Warnings) == 0 {
		return
	}
	t.line("")
	t.line("%s, IPv%d on %s:", c.Name, c.Family, c.Iface)
	if way := lastLeg(c.Trace); len(way) > 0 {
		n := len(way) - 1
		t.whole("  rule:    %s", step(way[n]))
		for _, s := range way[max(0, n-maxShown):n] {
			t.line("  after:   %s", step(s))
		}
	}
	if c.Counterexample != nil {
		t.line("  packet:  %s", c.Counterexample.String())
	}
	for n, a := range c.Assumptions {
		if n == maxShown {
			t.line("  depends: and on %d more", len(c.Assumptions)-n)
			break
		}
		t.line("  depends: %s", assumptionWords(a))
	}
	shown := 0
	for _, p := range c.Probes {
		if p.Result != sandbox.Established && shown < maxShown {
			t.line("  tried:   %s by %s: %s", p.String(), p.Via, string(p.Result))
			shown++
		}
	}
	for _, m := range c.Fixes {
		tested := ""
		if m.Tested {
			tested = "  (the analysis lets management in with it)"
		}
		t.whole("  fix:     %s%s", m.Text, tested)
	}
	for _, w := range c.Warnings {
		t.line("  warning: %s", w)
	}
}

// lastLeg is the way of the packet that is dropped, without those of the
// packets before it.
func lastLeg(trace []iptables.TraceStep) []iptables.TraceStep {
	n := len(trace)
	for n > 0 && trace[n-1].Step == trace[len(trace)-1].Step {
		n--
	}
	return trace[n:]
}

// step renders what one rule, policy or the kernel itself did.
func step(s iptables.TraceStep) string {
	if s.Table == "" {
		return s.Did
	}
	where := s.File
	if s.Line > 0 {
		where = fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	return strings.TrimSpace(fmt.Sprintf("%s  %s/%s: %s -> %s", where, s.Table, s.Chain, s.Rule, s.Did))
}

func assumptionWords(a iptables.Assumption) string {
	s := a.Name + ": " + a.Why
	if a.Line > 0 {
		s = fmt.Sprintf("%s:%d: %s: %s (%s)", a.File, a.Line, a.Name, a.Why, a.Rule)
	}
	return s
}

// boot shows what the next boot does, and what was found beside.
func (t *printer) boot(b *BootReport) {
	if b == nil {
		return
	}
	t.line("")
	t.line("the next boot of %s reaches %s:", b.Root, b.Target)
	for _, s := range b.Steps {
		t.line("  %s  %s %s", t.paint(statusColour(s.Status), fmt.Sprintf("%-7s", s.Status)), s.Unit, s.Does)
	}
	for _, m := range b.Remarks {
		t.whole("  %s  %s", t.paint(statusColour(m.Status), fmt.Sprintf("%-7s", m.Status)), m.Text)
	}
}

// questions says what was asked and how that came about.
func (t *printer) questions(qs []Asked) {
	t.line("")
	for _, q := range qs {
		var ports []string
		for _, p := range q.Ports {
			ports = append(ports, fmt.Sprint(p))
		}
		t.line("asked: IPv%d (%s): from %s to %s port %s on %s", q.Family, q.Backend, short(join(q.Mgmt)), short(join(q.Dst)), strings.Join(ports, ", "), q.Iface)
		t.line("       %s", strings.Join(q.How, "; "))
	}
}

func short(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}
