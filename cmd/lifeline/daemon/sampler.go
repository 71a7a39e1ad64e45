package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"lifeline/probes/path"
	"lifeline/probes/rsync/discovery"
	"lifeline/watchdog"
	"lifeline/watchdog/engine"
)

// sampleProbe measures values of one kind. now is the time since the loop's origin.
type sampleProbe[T any] interface {
	Sample(now time.Duration) (T, []watchdog.ProbeError)
}

// transferProbe lists rsync transfers, and tells whether the list is another than
// that of the last sample. While limits move it measures all of them.
type transferProbe interface {
	Sample(now time.Duration, limitsMove bool) (list []watchdog.Transfer, changed bool, errs []watchdog.ProbeError)
	Sessions() []discovery.Session
}

// pathProbe measures round-trip times to targets.
type pathProbe interface {
	Sample(now time.Duration, g path.Guide) ([]watchdog.Path, []watchdog.ProbeError)
	targetJudge
}

// descriptorProbe tells where file descriptors run out.
type descriptorProbe interface {
	Sample(now time.Duration) []watchdog.ProbeError
}

// capable tells what it can do on this host.
type capable interface{ Capability() watchdog.Capability }

// sampler joins the probes into one Snapshot a cycle.
type sampler struct {
	transfers   transferProbe
	links       sampleProbe[[]watchdog.Link]
	softnet     sampleProbe[watchdog.Softnet]
	descriptors descriptorProbe
	paths       pathProbe
	reboot      func() watchdog.Reboot        // the latest answer of the pre-reboot check
	shapeable   func(watchdog.ShaperKey) bool // whether a shaper can be had there
	targets     []netip.Addr                  // as configured
	discovery   capable                       // of new transfers
	icmp        capable                       // of sending echo requests

	sessions   []path.Session
	sessionsAt time.Duration // when the ssh sessions were last looked through; 0 for never
	host       hostSample    // the latest
	before     []watchdog.Transfer
	beforeAt   time.Duration
	backedOff  map[int]bool // links whose queue was found not to be ours, by ifindex
}

// hostSample is what was seen of links and softnet.
type hostSample struct {
	links   []watchdog.Link
	softnet watchdog.Softnet
	errs    []watchdog.ProbeError
}

// view is a sample in the making, with the decision that the one before led to.
type view struct {
	*watchdog.Snapshot
	last    watchdog.Decision
	carrier func(link int) int // the NIC beneath a link, by ifindex
}

// Sample takes one sample of everything. last is the decision that the sample
// before led to.
func (s *sampler) Sample(mono time.Duration, wall time.Time, last watchdog.Decision) watchdog.Snapshot {
	snap := watchdog.Snapshot{Mono: mono, Wall: wall, Reboot: s.reboot()}
	s.sampleTransfers(&snap, last)
	s.sampleHost(&snap)
	v := view{&snap, last, watchdog.NewLinkIndex(snap.Links).Physical}
	s.samplePaths(v)
	s.sampleDelays(v)
	s.before, s.beforeAt = snap.Transfers, mono
	return snap
}

// sampleTransfers lists the transfers. The sample is Repeated where nothing was
// measured of them since the one before, and the decision allows it.
func (s *sampler) sampleTransfers(snap *watchdog.Snapshot, last watchdog.Decision) {
	list, changed, errs := s.transfers.Sample(snap.Mono, limitsMove(last))
	snap.Transfers, snap.Errors = list, append(snap.Errors, errs...)
	snap.Repeated = last.Rest && !changed && len(list) > 0
}

// sampleHost looks at links and softnet, or takes what was seen before where the
// sample is Repeated.
func (s *sampler) sampleHost(snap *watchdog.Snapshot) {
	if !snap.Repeated {
		var errs []watchdog.ProbeError
		s.host.links, s.host.errs = s.links.Sample(snap.Mono)
		s.host.softnet, errs = s.softnet.Sample(snap.Mono)
		s.host.errs = slices.Concat(s.host.errs, errs)
	}
	snap.Links, snap.Softnet = slices.Clone(s.host.links), s.host.softnet
	snap.Errors = append(snap.Errors, s.host.errs...)
	snap.Errors = append(snap.Errors, s.descriptors.Sample(snap.Mono)...)
}

// sessionsEvery is how often the ssh sessions are looked through for targets.
const sessionsEvery = time.Second

// samplePaths asks the path probe, which goes by what the transfers and the decision
// say, and passes on what its answers say of the targets.
func (s *sampler) samplePaths(v view) {
	if s.sessionsAt == 0 || v.Mono-s.sessionsAt >= sessionsEvery {
		s.sessionsAt = max(v.Mono, 1)
		s.sessions = sshPeers(s.transfers.Sessions())
	}
	guide := path.Guide{Mode: pathMode(v), Idle: idleLinks(v), NIC: v.carrier, Configured: s.targets, Sessions: s.sessions}
	var errs []watchdog.ProbeError
	v.Paths, errs = s.paths.Sample(v.Mono, guide)
	v.Errors = append(v.Errors, errs...)
	v.Management = engine.ManagementReach(v.Paths)
	var found []targetFinding
	found, s.backedOff = judgeTargets(v, s.backedOff)
	for _, f := range found {
		f.tell(s.paths)
	}
}

// sshPeers are the clients of ssh sessions.
func sshPeers(sessions []discovery.Session) (out []path.Session) {
	for _, x := range sessions {
		out = append(out, path.Session{Peer: x.Peer})
	}
	return out
}

// sampleDelays fills in the queueing delay of each link in use, and whether a shaper
// can be had there. Of the others no delay is known, and nobody would shape them.
func (s *sampler) sampleDelays(v view) {
	used, heard := linksInUse(v), delayWitnesses(v)
	for i := range v.Links {
		l := &v.Links[i]
		if !used[l.Index] {
			continue
		}
		over := func(link int) bool { return link == l.Index || v.carrier(link) == l.Index }
		for _, d := range []watchdog.Direction{watchdog.Rx, watchdog.Tx} {
			passive := path.Listen(over, d, heard, s.before, v.Mono-s.beforeAt, shaped(v.last, l.Index, d))
			l.Delay[d] = path.LinkDelay(over, v.Paths, passive)
			l.ShaperOK[d] = s.shapeable(watchdog.ShaperKey{Link: l.Index, Direction: d})
		}
	}
}

// capabilities are what the probes found out about this host.
func (s *sampler) capabilities() []watchdog.Capability {
	return []watchdog.Capability{s.discovery.Capability(), s.icmp.Capability()}
}

// pingMethod tells how echo requests are sent, by family.
func (s *sampler) pingMethod() string { return strings.TrimSpace(s.icmp.Capability().Left) }
