package control

// blame is the evidence that rsync is why management does not answer. Silence
// alone is none: an administrator who closes a laptop is as silent as one who
// is shut out, and pausing the backups helps the second alone.
type blame struct {
	ill     float64 // s for which the link has shown distress without a break
	seen    float64 // when it last did
	ever    bool
	usual   float64 // bytes/s of ours over the last few seconds
	rose    float64 // when ours last rose well above that
	rises   bool    // rose means something
	resent  float64 // segments/s that the transfers send again, over the last seconds
	suspect bool    // the silence began in distress, or as rsync's rate rose
}

const (
	illFor      = 1.0 // s of distress that are no moment's peak
	beforeCut   = 6.0 // s before silence is told in which distress counts: silence is told 2 s after it began
	roseFor     = 10. // s, the same for a rate that rose
	roseBy      = 1.5 // of the usual rate
	usualTau    = 3.0 // s
	dropsMany   = 10. // packets/s; stray frames are counted as dropped too, about one in a second
	resentMany  = 5.  // segments/s
	resentRatio = 0.02
	frame       = 1514. // bytes of a full Ethernet frame at an MTU of 1500
)

func (b *blame) shift(by float64) { b.seen, b.rose = b.seen+by, b.rose+by }

// watch follows the link, whether management answers or not.
func (b *blame) watch(c *Controller, in *Input, s *signal) {
	b.resent += (max(0, in.Delay.Retrans) - b.resent) * blend(s.dt, 2)
	if b.distress(c, in, s) {
		b.ill, b.seen, b.ever = b.ill+s.dt, s.now, true
	} else {
		b.ill = 0
	}
	if s.ours > roseBy*b.usual && s.ours > c.least(in) {
		b.rose, b.rises = s.now, true
	}
	b.usual += (s.ours - b.usual) * blend(s.dt, usualTau)
}

// distress says that the link shows a queue or drops. The age of a request that
// waits for its answer is no queue: that of a host that is gone grows as well.
func (b *blame) distress(c *Controller, in *Input, s *signal) bool {
	queued := s.sees && !in.Delay.Overdue && s.queue > c.engage
	resent := b.resent > resentMany && b.resent > resentRatio*s.ours/frame
	return queued || resent || in.Drops > dropsMany
}

// silence notes what the link was like when management fell silent.
func (b *blame) silence(s *signal) {
	b.suspect = b.ever && s.now-b.seen < beforeCut || b.rises && s.now-b.rose < roseFor
}

// stands says that the link shows distress now; or that it did when management
// fell silent, and has shown nothing better since.
func (b *blame) stands(in *Input, s *signal) bool {
	if b.ill >= illFor {
		return true
	}
	return b.suspect && (!s.sees || in.Delay.Overdue)
}
