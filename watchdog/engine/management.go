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

// heard is what the targets answer together. Only those that answered before
// tell anything by silence: many hosts answer no ping.
type heard struct {
	answering  bool // somebody who stands for management
	configured int  // silent, each
	sessions   int
	earlier    int // peers of sessions that are over; they may have gone home
	gateway    bool
	noGateway  bool // one that answered before is silent
	passes     bool // somebody answers about as fast as over an empty path
}

// take adds one target. near is the queueing delay up to which a path is as good
// as empty.
func (h *heard) take(p *watchdog.Path, near time.Duration) {
	if !p.Answered {
		return
	}
	answers := p.Silent == 0 && p.Known
	h.passes = h.passes || answers && empty(p, near)
	switch {
	case p.Silent == 0 && !p.Known: // neither answers nor silence lately
	case p.Why == watchdog.TargetGateway && answers:
		h.gateway = true
	case p.Why == watchdog.TargetGateway:
		h.noGateway = true
	case answers:
		h.answering = true
	case p.Why == watchdog.TargetRemembered || gone(p):
		h.earlier++
	case p.Why == watchdog.TargetConfigured:
		h.configured++
	default:
		h.sessions++
	}
}

// mostLoss is the ratio of lost requests above which a target that answers is no
// proof that a link lets packets through.
const mostLoss = 0.1

// empty tells whether a path shows neither a queue nor loss. A base RTT in doubt
// may hold a queue, and is none to compare with.
func empty(p *watchdog.Path, near time.Duration) bool {
	queue := p.Queue()
	if p.Doubt || p.Base == 0 {
		queue = p.RTT
	}
	return queue <= near && !p.Overdue && !(p.Loss > mostLoss)
}

func gone(p *watchdog.Path) bool { return p.Why == watchdog.TargetSession && p.Silent > peerGone }

// silent counts the targets at which somebody should be.
func (h *heard) silent() int { return h.configured + h.sessions }

// alone tells whether the silence may be one person's doing: the peer of one session,
// or those of earlier ones.
func (h *heard) alone() bool { return h.configured == 0 && h.sessions <= 1 && !h.noGateway }

// management is what those targets say that stand for it, without asking why.
// Who is not logged in may have gone home, so there must be two of these.
func (h *heard) management() control.Reach {
	switch {
	case h.answering:
		return control.Reachable
	case h.silent() > 0 || h.earlier >= 2:
		return control.Unreachable
	}
	return control.ReachUnknown
}

// ManagementReach tells whether management gets through, going by the targets that stand
// for it: configured ones, ssh peers and earlier ones. One that answers is enough.
// One that is silent, where nobody else is known to be, has a trouble of his own.
func ManagementReach(paths []watchdog.Path) control.Reach {
	var h heard
	for i := range paths {
		h.take(&paths[i], 0)
	}
	r := h.management()
	if r == control.Unreachable && !h.cutOff() {
		return control.ReachUnknown
	}
	return r
}

// cutOff tells whether silence is more than a peer's own trouble, by the targets
// alone: the gateway has fallen silent too, or hosts that should always be there
// have, or several peers have and no gateway answers.
func (h *heard) cutOff() bool {
	return h.noGateway && !h.gateway || h.configured >= 2 || !h.gateway && h.silent() >= 2
}

// hear gathers what the targets over a group's link answer; of all links where
// that one is not known.
func (e *Engine) hear(s *watchdog.Snapshot, g *group, links watchdog.LinkIndex) (h heard) {
	for i := range s.Paths {
		p := &s.Paths[i]
		if g.key.Link == 0 || p.Link != 0 && links.Physical(p.Link) == g.key.Link {
			h.take(p, e.settings.Engage)
		}
	}
	return h
}

// findManagement finds that management is cut off, and else whose peer is silent.
func (e *Engine) findManagement(fs []finding, s *watchdog.Snapshot, outs []judged) []finding {
	shut := s.Management == control.Unreachable || slices.ContainsFunc(outs, func(j judged) bool { return j.out.ShutOut })
	f := finding{name: watchdog.ManagementUnreachable, truth: truth(shut), severity: watchdog.Critical}
	if s.Management == control.ReachUnknown && !shut && !anyAnswer(s.Paths) {
		f.truth = Unknown
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
		f := finding{name: watchdog.ManagementPeerSilent, subject: watchdog.TargetSubject(p.Target), severity: watchdog.Warning, truth: Unknown}
		if p.Silent > 0 && !shut {
			f.truth = True
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
