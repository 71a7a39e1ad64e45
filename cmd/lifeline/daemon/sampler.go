package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"lifeline/probes/host"
	"lifeline/probes/nic"
	"lifeline/probes/path"
	"lifeline/probes/rsync"
	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/engine"
)

// idleRate is the rate of a link below which the paths over it count as empty, so that base RTTs may be learnt.
const idleRate = 125e3 // bytes/s, 1 Mbit/s

// sessionsEvery is how often the ssh sessions are looked through for targets.
const sessionsEvery = time.Second

// sampler joins the probes into one sample.
type sampler struct {
	nic        *nic.Probe
	path       *path.Probe
	icmp       *path.ICMP
	origin     time.Time // of the monotonic time
	rsync      *rsync.Probe
	softnet    *host.Softnet
	files      *host.Descriptors
	reboot     *rebootCheck
	shapeable  func(watchdog.ShaperKey) bool
	configured []netip.Addr
	sessionsAt time.Duration
	before     []watchdog.Transfer // of the sample before
	beforeAt   time.Duration
	host       hostSample
	doubted    map[int]bool // links whose queue was found not to be ours
}

// Sample takes one sample of everything.
func (s *sampler) Sample(mono time.Duration, wall time.Time, last watchdog.Decision) watchdog.Snapshot {
	snap := watchdog.Snapshot{Mono: mono, Wall: wall}
	note := func(errs []watchdog.ProbeError) { snap.Errors = append(snap.Errors, errs...) }

	var errs []watchdog.ProbeError
	moving := slices.ContainsFunc(last.Links, func(l watchdog.LinkState) bool { return l.Moving })
	s.rsync.Follow(moving)
	snap.Transfers, errs = s.rsync.Sample(mono)
	note(errs)
	snap.Repeated = last.Rest && sameList(snap.Transfers, s.before)
	if !snap.Repeated {
		s.host = s.lookAtHost(mono)
	}
	snap.Links, snap.Softnet = slices.Clone(s.host.links), s.host.softnet
	note(s.host.errs)
	note(s.files.Sample(mono))
	snap.Reboot = s.reboot.Latest()
	physical := watchdog.NewLinkIndex(snap.Links).Physical
	s.watchClosely(&snap, moving)
	s.aim(mono, &snap, stirring(snap.Transfers, physical), quiet(last, physical), physical)
	snap.Paths, errs = s.path.Sample(mono)
	note(errs)
	snap.Management = engine.ManagementReach(snap.Paths)
	s.doubt(&snap, last, physical)
	used, telling := inUse(&snap, physical), tellers(snap.Transfers, last)
	for i := range snap.Links {
		l := &snap.Links[i]
		if !used[l.Index] {
			continue // nothing is known of its delay, and nobody would shape it
		}
		over := func(link int) bool { return link == l.Index || physical(link) == l.Index }
		for _, d := range []watchdog.Direction{watchdog.Rx, watchdog.Tx} {
			heard := path.Listen(over, d, telling, s.before, mono-s.beforeAt, shaped(last, l.Index, d))
			l.Delay[d] = path.LinkDelay(over, snap.Paths, heard)
			l.ShaperOK[d] = s.shapeable(watchdog.ShaperKey{Link: l.Index, Direction: d})
		}
	}
	s.before, s.beforeAt = snap.Transfers, mono
	return snap
}

// hostSample is what was seen of links and softnet.
type hostSample struct {
	links   []watchdog.Link
	softnet watchdog.Softnet
	errs    []watchdog.ProbeError
}

func (s *sampler) lookAtHost(mono time.Duration) (h hostSample) {
	var errs []watchdog.ProbeError
	h.links, h.errs = s.nic.Sample(mono)
	h.softnet, errs = s.softnet.Sample(mono)
	h.errs = append(h.errs, errs...)
	return h
}

// sameList says that a list of transfers is the very one of before: nothing was
// measured since.
func sameList(a, b []watchdog.Transfer) bool {
	return len(a) > 0 && len(a) == len(b) && &a[0] == &b[0]
}

// inUse are the links that transfers or probes go over, and the NICs beneath.
func inUse(snap *watchdog.Snapshot, physical func(int) int) map[int]bool {
	used := map[int]bool{}
	for _, p := range snap.Paths {
		used[p.Link], used[physical(p.Link)] = true, true
	}
	for _, t := range snap.Transfers {
		used[t.Link], used[physical(t.Link)] = true, true
	}
	return used
}

// doubt takes a gateway's word no longer for a queue that was found not to be
// ours, as many answer when they please, and all the more for one that went when
// the limits were lowered. Nor is a target judged by itself for such a queue, or
// believed that claims one which no transfer meets.
func (s *sampler) doubt(snap *watchdog.Snapshot, last watchdog.Decision, physical func(int) int) {
	now, drained := map[int]bool{}, map[int]bool{}
	for _, l := range last.Links {
		if l.Contradicted {
			s.path.Contradict(l.Delay.From)
		}
		if l.Phase == control.Backoff && !s.doubted[l.Link] {
			s.path.Refuse(l.Delay.From)
		}
		now[l.Link] = now[l.Link] || l.Phase == control.Backoff
		drained[l.Link] = drained[l.Link] || l.Drained
	}
	for _, p := range snap.Paths {
		if p.Why != watchdog.TargetGateway || !p.Delay {
			continue
		}
		switch link := physical(p.Link); {
		case now[link] && !s.doubted[link]:
			s.path.Doubt(p.Target)
		case drained[link] && p.Unproven:
			s.path.Confirm(p.Target)
		}
	}
	s.doubted = now
}

// quiet tells which links carry next to nothing because a sounding has cut all
// transfers over their NIC.
func quiet(last watchdog.Decision, physical func(int) int) func(link int) bool {
	return func(link int) bool {
		return slices.ContainsFunc(last.Links, func(l watchdog.LinkState) bool { return l.Quiet && l.Link == physical(link) })
	}
}

// stirsFor is for how long a new transfer may fill a link before its counters show it.
const stirsFor = 3 * time.Second

// stirring tells which links new transfers go over: what is answered late there is not
// late while idle.
func stirring(ts []watchdog.Transfer, physical func(int) int) func(link int) bool {
	return func(link int) bool {
		return slices.ContainsFunc(ts, func(t watchdog.Transfer) bool {
			return t.Age < stirsFor && physical(t.Link) == physical(link)
		})
	}
}

// watchClosely tells the path probe how often to ask, where moving says that
// limits are on their way.
func (s *sampler) watchClosely(snap *watchdog.Snapshot, moving bool) {
	switch {
	case len(snap.Transfers) == 0:
		s.path.SetMode(path.Idle)
	case moving:
		s.path.SetMode(path.Close)
	default:
		s.path.SetMode(path.Fast)
	}
}

// aim tells the path probe whom to ask, and which links are idle.
func (s *sampler) aim(mono time.Duration, snap *watchdog.Snapshot, stirs, quiet func(link int) bool, physical func(int) int) {
	var idle []int
	for _, l := range snap.Links {
		rx, tx := l.Rates[watchdog.Rx], l.Rates[watchdog.Tx]
		if rx.Known && tx.Known && rx.Bytes < idleRate && tx.Bytes < idleRate && !stirs(l.Index) || quiet(l.Index) {
			idle = append(idle, l.Index)
		}
	}
	s.path.SetIdle(idle...)
	s.path.SetCarriers(physical)
	if s.sessionsAt != 0 && mono-s.sessionsAt < sessionsEvery {
		return
	}
	s.sessionsAt = max(mono, 1)
	var sessions []path.Session
	for _, x := range s.rsync.Sessions() {
		sessions = append(sessions, path.Session{Peer: x.Peer})
	}
	s.path.SetTargets(s.configured, sessions)
}

// shaped tells whether a shaper of ours stands on a link and direction: its
// queue shows in the transfers' own RTT, which is then no evidence.
func shaped(d watchdog.Decision, link int, dir watchdog.Direction) bool {
	for _, l := range d.Links {
		if l.Link == link && l.Direction == dir && l.Shaper > 0 {
			return true
		}
	}
	return false
}

// tellers are the transfers whose own RTT tells of the link: one that has a class
// of its own waits in that.
func tellers(ts []watchdog.Transfer, d watchdog.Decision) []watchdog.Transfer {
	if len(d.Wishes) == 0 {
		return ts
	}
	return slices.DeleteFunc(slices.Clone(ts), func(t watchdog.Transfer) bool { return d.Desired.Limits[t.ID].Rate > 0 })
}

// capabilities are what the probes found out about this host.
func (s *sampler) capabilities() []watchdog.Capability {
	return []watchdog.Capability{s.rsync.Capability(), s.icmp.Capability()}
}

// pingWay tells how echo requests are sent, by family.
func (s *sampler) pingWay() string { return strings.TrimSpace(s.icmp.Capability().Left) }
