package engine

import (
	"fmt"
	"strings"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// findings runs every rule over one Snapshot and what was decided on it.
func (e *Engine) findings(in input, controlled []linkControl) []finding {
	s := in.Snapshot
	fs := e.found[:0]
	for i := range controlled {
		fs = e.findControl(fs, s, &controlled[i])
	}
	fs = e.findManagement(fs, s, controlled)
	fs = append(fs, findContradicted(s)...)
	fs = append(fs, findReboot(s)...)
	fs = e.findLinks(fs, s)
	fs = append(fs, findBlind(s)...)
	fs = append(fs, e.findUnprotected(s))
	e.found = append(fs, findFailed(in.stands)...)
	return e.found
}

// subject is the link and direction.
func (c *linkControl) subject() watchdog.Subject {
	return watchdog.DirectionSubject(c.link.Name, c.key.Direction)
}

// findControl finds what one controller sees: saturation, a queue of somebody
// else, nothing to steer by.
func (e *Engine) findControl(fs []finding, s *watchdog.Snapshot, c *linkControl) []finding {
	subject, full := c.subject(), unknown
	if c.in.RateKnown || c.in.Delay.Known {
		full = known(c.out.Saturated)
	}
	saturated := finding{watchdog.LinkSaturated, subject, full, c.severity(), ""}
	notOurs := finding{watchdog.NotOurQueue, subject, known(c.out.NotOurs), watchdog.Warning, ""}
	blind := finding{watchdog.Unprotected, subject, known(c.out.Phase == control.Blind && c.cut == nil && len(c.transfers) > 0), watchdog.Warning, ""}
	if c.out.Saturated && e.conditions.wants(watchdog.LinkSaturated, subject, s.Mono) {
		saturated.evidence = c.evidence() + "; " + c.reaction()
	}
	if c.out.NotOurs && e.conditions.wants(watchdog.NotOurQueue, subject, s.Mono) {
		notOurs.evidence = "when rsync gave way the delay stayed; now " + c.evidence()
	}
	if blind.truth == isTrue {
		blind.evidence = c.whyBlind()
	}
	return append(fs, saturated, notOurs, blind)
}

// whyBlind says what is missing to steer by, and what to do.
func (c *linkControl) whyBlind() string {
	if c.baseDoubtful && c.dryRun {
		return "a probe target answers, but the RTT of its empty path was first measured under load; a dry run does not cut the transfers to find it"
	}
	if c.baseDoubtful {
		return "a probe target answers, but the RTT of its empty path was first measured under load and could not be found since"
	}
	if c.link.Name == "" {
		return "the link of these transfers is not known, and neither is its delay"
	}
	return "no probe target answers and the capacity is unknown, so the limits follow what passes: name a target in [path] targets or a capacity in [link." + c.link.Name + "]"
}

// evidence is the values that the judgement rests on.
func (c *linkControl) evidence() string {
	var b strings.Builder
	if c.in.RateKnown {
		fmt.Fprintf(&b, "%s %s", c.key.Direction, watchdog.Mbit(c.in.Rate))
	} else {
		fmt.Fprintf(&b, "%s rate unknown", c.key.Direction)
	}
	if most := max(c.out.Capacity, c.in.Capacity); most > 0 {
		fmt.Fprintf(&b, " of %s", watchdog.Mbit(most))
	}
	if c.in.Delay.Known {
		how := ""
		if c.in.Delay.Passive {
			how = " (by the transfers' own TCP)"
		}
		fmt.Fprintf(&b, ", queueing delay %s%s", c.in.Delay.Queue.Round(100*time.Microsecond), how)
	} else {
		b.WriteString(", queueing delay unknown")
	}
	fmt.Fprintf(&b, ", %d transfers", len(c.transfers))
	return b.String()
}

// findReboot tells of a reboot that would lock management out, or might.
func findReboot(s *watchdog.Snapshot) []finding {
	if !s.Reboot.Known {
		return nil
	}
	return []finding{
		{watchdog.RebootUnsafe, watchdog.Subject{}, known(s.Reboot.Verdict == "unsafe"), watchdog.Critical, s.Reboot.Reason},
		{watchdog.RebootUnknown, watchdog.Subject{}, known(s.Reboot.Verdict != "unsafe" && s.Reboot.Verdict != "safe"), watchdog.Info, s.Reboot.Reason},
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
		fs = append(fs, finding{watchdog.TargetContradicted, watchdog.TargetSubject(p.Target), isTrue, watchdog.Warning,
			ev + ": its delay does not count for an hour; look at what is on its way, or at the host itself"})
	}
	return fs
}

// findBlind reports every probe that could not look. Nothing rests on the softnet
// probe yet, so its failure leaves nothing unseen.
func findBlind(s *watchdog.Snapshot) []finding {
	var fs []finding
	for _, e := range s.Errors {
		if e.Probe.Whole() != watchdog.ProbeSoftnet {
			fs = append(fs, finding{watchdog.ProbeBlind, watchdog.ProbeSubject(e.Probe), isTrue, watchdog.Warning, e.Err})
		}
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
	return finding{watchdog.Unprotected, watchdog.Subject{}, known(len(parts) > 0), watchdog.Warning, strings.Join(parts, "; ")}
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
		fs = append(fs, finding{watchdog.RemedyFailed, watchdog.RemedySubject(remedy), isTrue, severity, ev})
	}
	return fs
}
