package engine

import (
	"fmt"
	"strings"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// findings runs every rule over one Snapshot and what was decided on it.
func (e *Engine) findings(s *watchdog.Snapshot, outs []judged, stands watchdog.Outcome) []finding {
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

// subject is the link and direction.
func (j *judged) subject() watchdog.Subject {
	return watchdog.DirectionSubject(j.link.Name, j.key.Direction)
}

// findControl finds what one controller sees: saturation, a queue of somebody
// else, nothing to steer by.
func (e *Engine) findControl(fs []finding, s *watchdog.Snapshot, j *judged) []finding {
	subject, known := j.subject(), Unknown
	if j.in.RateKnown || j.in.Delay.Known {
		known = truth(j.out.Saturated)
	}
	saturated := finding{watchdog.LinkSaturated, subject, known, j.severity(), ""}
	notOurs := finding{watchdog.NotOurQueue, subject, truth(j.out.NotOurs), watchdog.Warning, ""}
	blind := finding{watchdog.Unprotected, subject, truth(j.out.Phase == control.Blind && j.cut == nil && len(j.transfers) > 0), watchdog.Warning, ""}
	if j.out.Saturated && e.conditions.wants(watchdog.LinkSaturated, subject, s.Mono) {
		saturated.evidence = j.evidence() + "; " + j.standing()
	}
	if j.out.NotOurs && e.conditions.wants(watchdog.NotOurQueue, subject, s.Mono) {
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
		fmt.Fprintf(&b, "%s %s", j.key.Direction, watchdog.Mbit(j.in.Rate))
	} else {
		fmt.Fprintf(&b, "%s rate unknown", j.key.Direction)
	}
	if c := max(j.out.Capacity, j.in.Capacity); c > 0 {
		fmt.Fprintf(&b, " of %s", watchdog.Mbit(c))
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

// findReboot tells of a reboot that would lock management out, or might.
func findReboot(s *watchdog.Snapshot) []finding {
	if !s.Reboot.Known {
		return nil
	}
	return []finding{
		{watchdog.RebootUnsafe, watchdog.Subject{}, truth(s.Reboot.Verdict == "unsafe"), watchdog.Critical, s.Reboot.Reason},
		{watchdog.RebootUnknown, watchdog.Subject{}, truth(s.Reboot.Verdict != "unsafe" && s.Reboot.Verdict != "safe"), watchdog.Info, s.Reboot.Reason},
	}
}

// findContradicted names the targets whose delay is not believed.
func findContradicted(s *watchdog.Snapshot) (fs []finding) {
	for i := range s.Paths {
		p := &s.Paths[i]
		if !p.Contradicted {
			continue
		}
		ev := fmt.Sprintf("%s answers late when rsync is fast, and in time when it gives way, but no transfer meets a queue", p.Why)
		fs = append(fs, finding{watchdog.TargetContradicted, watchdog.TargetSubject(p.Target), True, watchdog.Warning,
			ev + ": its delay does not count for an hour; look at what is on its way, or at the host itself"})
	}
	return fs
}

// findBlind reports every probe that could not look.
func findBlind(s *watchdog.Snapshot) []finding {
	var fs []finding
	for _, e := range s.Errors {
		fs = append(fs, finding{watchdog.ProbeBlind, watchdog.ProbeSubject(e.Probe), True, watchdog.Warning, e.Err})
	}
	return fs
}

// findUnprotected counts the transfers that are seen and cannot be limited.
func (e *Engine) findUnprotected(s *watchdog.Snapshot) finding {
	var foreign, none int
	why := ""
	for i := range s.Transfers {
		switch t := &s.Transfers[i]; {
		case t.Foreign && !e.settings.ForeignNetns:
			foreign++
		case t.Control == watchdog.ControlNone:
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
	return finding{watchdog.Unprotected, watchdog.Subject{}, truth(len(parts) > 0), watchdog.Warning, strings.Join(parts, "; ")}
}

// findFailed reports the remedies that did not take. It is no more than a warning
// where another does their work.
func findFailed(o watchdog.Outcome) []finding {
	if len(o.Failed) == 0 {
		return nil
	}
	by := map[watchdog.Remedy][]watchdog.Failure{}
	for _, f := range o.Failed {
		by[f.Remedy] = append(by[f.Remedy], f)
	}
	var fs []finding
	for remedy, failed := range by {
		first, severity := failed[0], watchdog.Warning
		for _, f := range failed {
			if f.Instead == "" {
				first, severity = f, watchdog.Critical
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
		fs = append(fs, finding{watchdog.RemedyFailed, watchdog.RemedySubject(remedy), True, severity, ev})
	}
	return fs
}
