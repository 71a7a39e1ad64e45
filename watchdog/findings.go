package watchdog

import (
	"fmt"
	"strings"
	"time"

	"lifeline/watchdog/control"
)

// findings runs every rule over one Snapshot and what was decided on it.
func (e *Engine) findings(s *Snapshot, outs []judged, stands Outcome) []finding {
	fs := e.found[:0]
	for i := range outs {
		fs = e.findControl(fs, s, &outs[i])
	}
	fs = e.findManagement(fs, s, outs)
	fs = append(fs, findContradicted(s)...)
	fs = append(fs, findReboot(s)...)
	fs = e.findLinks(fs, s)
	fs = append(fs, findBlind(s)...)
	fs = append(fs, e.findUnprotected(s))
	e.found = append(fs, findFailed(stands)...)
	return e.found
}

// subject names a link and direction, as the conditions do.
func (j *judged) subject() string {
	name := j.link.Name
	if name == "" {
		name = "unknown link"
	}
	return name + " " + j.key.Direction.String()
}

// findControl finds what one controller sees: saturation, a queue of somebody
// else, nothing to steer by.
func (e *Engine) findControl(fs []finding, s *Snapshot, j *judged) []finding {
	subject, known := j.subject(), Unknown
	if j.in.RateKnown || j.in.Delay.Known {
		known = truth(j.out.Saturated)
	}
	saturated := finding{LinkSaturated, subject, known, j.severity(), ""}
	notOurs := finding{NotOurQueue, subject, truth(j.out.NotOurs), Warning, ""}
	blind := finding{Unprotected, subject, truth(j.out.Phase == control.Blind && j.cut == nil && len(j.transfers) > 0), Warning, ""}
	if j.out.Saturated && e.conditions.wants(LinkSaturated, subject, s.Mono) {
		saturated.evidence = j.evidence() + "; " + j.standing()
	}
	if j.out.NotOurs && e.conditions.wants(NotOurQueue, subject, s.Mono) {
		notOurs.evidence = "when rsync gave way the delay stayed; now " + j.evidence()
	}
	if blind.truth == True {
		blind.evidence = j.unseen()
	}
	return append(fs, saturated, notOurs, blind)
}

// unseen says what is missing to steer by, and the mend.
func (j *judged) unseen() string {
	if j.doubtful && j.dryRun {
		return "a probe target answers, but the RTT of its empty path was first measured under load; a dry run does not cut the transfers to find it"
	}
	if j.doubtful {
		return "a probe target answers, but the RTT of its empty path was first measured under load and could not be found since"
	}
	if j.link.Name == "" {
		return "the link of these transfers is not known, and neither is its delay"
	}
	return "no probe target answers and the capacity is unknown, so the limits follow what passes: name a target in [path] targets or a capacity in [link." + j.link.Name + "]"
}

// evidence is the values that the judgement rests on.
func (j *judged) evidence() string {
	var b strings.Builder
	if j.in.RateKnown {
		fmt.Fprintf(&b, "%s %s", j.key.Direction, Mbit(j.in.Rate))
	} else {
		fmt.Fprintf(&b, "%s rate unknown", j.key.Direction)
	}
	if c := max(j.out.Capacity, j.in.Capacity); c > 0 {
		fmt.Fprintf(&b, " of %s", Mbit(c))
	}
	if j.in.Delay.Known {
		how := ""
		if j.in.Delay.Passive {
			how = " (by the transfers' own TCP)"
		}
		fmt.Fprintf(&b, ", queueing delay %s%s", j.in.Delay.Queue.Round(100*time.Microsecond), how)
	} else {
		b.WriteString(", queueing delay unknown")
	}
	fmt.Fprintf(&b, ", %d transfers", len(j.transfers))
	return b.String()
}

// Mbit writes bytes/s as Mbit/s, the unit of links.
func Mbit(bytesPerSecond float64) string {
	return fmt.Sprintf("%.1f Mbit/s", bytesPerSecond*8/1e6)
}

// findReboot tells of a reboot that would lock management out, or might.
func findReboot(s *Snapshot) []finding {
	if !s.Reboot.Known {
		return nil
	}
	return []finding{
		{RebootUnsafe, "host", truth(s.Reboot.Verdict == "unsafe"), Critical, s.Reboot.Reason},
		{RebootUnknown, "host", truth(s.Reboot.Verdict != "unsafe" && s.Reboot.Verdict != "safe"), Info, s.Reboot.Reason},
	}
}

// findContradicted names the targets whose delay is not believed.
func findContradicted(s *Snapshot) (fs []finding) {
	for i := range s.Paths {
		p := &s.Paths[i]
		if !p.Contradicted {
			continue
		}
		ev := fmt.Sprintf("%s answers late when rsync is fast, and in time when it gives way, but no transfer meets a queue", p.Why)
		fs = append(fs, finding{TargetContradicted, p.Target.String(), True, Warning,
			ev + ": its delay does not count for an hour; look at what is on its way, or at the host itself"})
	}
	return fs
}

// findBlind reports every probe that could not look.
func findBlind(s *Snapshot) []finding {
	var fs []finding
	for _, e := range s.Errors {
		fs = append(fs, finding{ProbeBlind, e.Probe, True, Warning, e.Err})
	}
	return fs
}

// findUnprotected counts the transfers that are seen and cannot be limited.
func (e *Engine) findUnprotected(s *Snapshot) finding {
	var foreign, none int
	why := ""
	for i := range s.Transfers {
		switch t := &s.Transfers[i]; {
		case t.Foreign && !e.settings.ForeignNetns:
			foreign++
		case t.Control == ControlNone:
			none++
			why = t.Why
		}
	}
	var parts []string
	if foreign > 0 {
		parts = append(parts, fmt.Sprintf("%d transfers in other network namespaces (foreign_netns = true limits them)", foreign))
	}
	if none > 0 {
		parts = append(parts, fmt.Sprintf("%d transfers out of reach: %s", none, why))
	}
	return finding{Unprotected, "host", truth(len(parts) > 0), Warning, strings.Join(parts, "; ")}
}

// findFailed reports the remedies that did not take. It is no more than a warning
// where another does their work.
func findFailed(o Outcome) []finding {
	if len(o.Failed) == 0 {
		return nil
	}
	by := map[string][]Failure{}
	for _, f := range o.Failed {
		by[f.Remedy] = append(by[f.Remedy], f)
	}
	var fs []finding
	for remedy, failed := range by {
		first, severity := failed[0], Warning
		for _, f := range failed {
			if f.Instead == "" {
				first, severity = f, Critical
				break
			}
		}
		ev := first.Target + ": " + first.Err
		if first.Instead != "" {
			ev += "; meanwhile " + first.Instead
		}
		if n := len(failed) - 1; n > 0 {
			ev += fmt.Sprintf(" (and %d more)", n)
		}
		fs = append(fs, finding{RemedyFailed, remedy, True, severity, ev})
	}
	return fs
}
