package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// peerGone is the silence after which the peer of an ssh session is no longer
// taken for somebody at work: a connection whose other end has vanished stays
// for as long as TCP's keepalive lets it, two hours and more (tcp(7)).
const peerGone = 10 * time.Minute

// targetAnswers is what the targets answer together. Only those that answered before
// tell anything by silence: many hosts answer no ping.
type targetAnswers struct {
	managementAnswers bool // somebody who stands for it
	silentConfigured  int
	silentSessions    int
	silentEarlier     int // peers of sessions that are over; they may have gone home
	gatewayAnswers    bool
	gatewaySilent     bool
	pathClear         bool // somebody answers about as fast as over an empty path
}

// add takes one target into account. near is the queueing delay up to which a path is as good
// as empty.
func (a *targetAnswers) add(p *watchdog.Path, near time.Duration) {
	if !p.Answered {
		return
	}
	answers := p.Silent == 0 && p.Known
	a.pathClear = a.pathClear || answers && isEmpty(p, near)
	switch {
	case p.Silent == 0 && !p.Known: // neither answers nor silence lately
	case p.Why == watchdog.TargetGateway && answers:
		a.gatewayAnswers = true
	case p.Why == watchdog.TargetGateway:
		a.gatewaySilent = true
	case answers:
		a.managementAnswers = true
	case p.Why == watchdog.TargetRemembered || gone(p):
		a.silentEarlier++
	case p.Why == watchdog.TargetConfigured:
		a.silentConfigured++
	default:
		a.silentSessions++
	}
}

// clearPathLoss is the ratio of lost requests above which a target that answers is no
// proof that a link lets packets through.
const clearPathLoss = 0.1

// isEmpty tells whether a path shows neither a queue nor loss. A base RTT in doubt
// may hold a queue, and is none to compare with.
func isEmpty(p *watchdog.Path, near time.Duration) bool {
	queue := p.Queue()
	if p.Doubt || p.Base == 0 {
		queue = p.RTT
	}
	return queue <= near && !p.Overdue && !(p.Loss > clearPathLoss)
}

// gone tells whether the peer of a session is taken for one who has left.
func gone(p *watchdog.Path) bool { return p.Why == watchdog.TargetSession && p.Silent > peerGone }

// silent counts the targets at which somebody should be.
func (a *targetAnswers) silent() int { return a.silentConfigured + a.silentSessions }

// onePeerOnly tells whether the silence may be one person's doing: the peer of one session,
// or those of earlier ones.
func (a *targetAnswers) onePeerOnly() bool {
	return a.silentConfigured == 0 && a.silentSessions <= 1 && !a.gatewaySilent
}

// management is what those targets say that stand for it, without asking why.
// Who is not logged in may have gone home, so there must be two of these.
func (a *targetAnswers) management() control.Reach {
	switch {
	case a.managementAnswers:
		return control.Reachable
	case a.silent() > 0 || a.silentEarlier >= 2:
		return control.Unreachable
	}
	return control.ReachUnknown
}

// ManagementReach tells whether management gets through, going by the targets that stand
// for it: configured ones, ssh peers and earlier ones. One that answers is enough.
// One that is silent, where nobody else is known to be, has a trouble of his own.
func ManagementReach(paths []watchdog.Path) control.Reach {
	var a targetAnswers
	for i := range paths {
		a.add(&paths[i], 0)
	}
	r := a.management()
	if r == control.Unreachable && !a.cutOff() {
		return control.ReachUnknown
	}
	return r
}

// cutOff tells whether silence is more than a peer's own trouble, by the targets
// alone: the gateway has fallen silent too, or hosts that should always be there
// have, or several peers have and no gateway answers.
func (a *targetAnswers) cutOff() bool {
	return a.gatewaySilent && !a.gatewayAnswers || a.silentConfigured >= 2 || !a.gatewayAnswers && a.silent() >= 2
}

// answersOver is what the targets over a group's link answer; of all links where
// that one is not known.
func (e *Engine) answersOver(in input, g *group) (a targetAnswers) {
	for i := range in.Paths {
		p := &in.Paths[i]
		if g.key.Link == 0 || p.Link != 0 && in.links.Physical(p.Link) == g.key.Link {
			a.add(p, e.settings.Engage)
		}
	}
	return a
}

// findManagement finds that management is cut off, and else whose peer is silent.
func (e *Engine) findManagement(fs []finding, s *watchdog.Snapshot, controlled []linkControl) []finding {
	shut := s.Management == control.Unreachable || slices.ContainsFunc(controlled, func(c linkControl) bool { return c.out.ShutOut })
	f := finding{name: watchdog.ManagementUnreachable, truth: known(shut), severity: watchdog.Critical}
	if s.Management == control.ReachUnknown && !shut && !anyAnswer(s.Paths) {
		f.truth = unknown
	}
	if shut {
		f.evidence = silences(s.Paths)
	}
	return e.findPeers(append(fs, f), s, shut)
}

// anyAnswer tells whether any target answers, the gateway included.
func anyAnswer(paths []watchdog.Path) bool {
	return slices.ContainsFunc(paths, func(p watchdog.Path) bool { return p.Known && p.Silent == 0 })
}

// silences lists who is silent, a gateway too: then it is the path that is dead.
func silences(paths []watchdog.Path) string {
	var silent []string
	for i := range paths {
		if p := &paths[i]; p.Silent > 0 {
			silent = append(silent, fmt.Sprintf("%s (%s) silent for %s", p.Target, p.Why, p.Silent.Round(time.Second)))
		}
	}
	return strings.Join(silent, ", ")
}

// findPeers finds the management hosts that fell silent by themselves. Where all
// are cut off that is the thing to tell, and not each of them. One that answers
// needs no finding: it is then not silent.
func (e *Engine) findPeers(fs []finding, s *watchdog.Snapshot, shut bool) []finding {
	for i := range s.Paths {
		p := &s.Paths[i]
		if p.Why != watchdog.TargetConfigured && p.Why != watchdog.TargetSession || !p.Answered || gone(p) || p.Known && p.Silent == 0 {
			continue
		}
		f := finding{name: watchdog.ManagementPeerSilent, subject: watchdog.TargetSubject(p.Target), severity: watchdog.Warning, truth: unknown}
		if p.Silent > 0 && !shut {
			f.truth = isTrue
			if e.conditions.wants(f.name, f.subject, s.Mono) {
				f.evidence = fmt.Sprintf("%s silent for %s; %s", p.Why, p.Silent.Round(time.Second), others(s.Paths, p.Link))
			}
		}
		fs = append(fs, f)
	}
	return fs
}

// others tells who answers over the same link.
func others(paths []watchdog.Path, link int) string {
	for i := range paths {
		if p := &paths[i]; p.Link == link && p.Known && p.Silent == 0 {
			return fmt.Sprintf("%s (%s) answers in %s", p.Target, p.Why, p.RTT.Round(10*time.Microsecond))
		}
	}
	return "no other target over the link answers, and nothing says that rsync is the reason"
}
