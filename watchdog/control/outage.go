package control

// outage is the evidence that rsync is why management does not answer. Silence
// alone is none: an administrator who closes a laptop is as silent as one who
// is shut out, and pausing the backups helps the second alone.
type outage struct {
	distressed float64 // s for which the link has shown distress without a break
	last       float64 // when it last did
	ever       bool
	usual      float64 // bytes/s of ours over the last few seconds
	rose       float64 // when ours last rose well above that
	everRose   bool    // rose means something
	retrans    float64 // segments/s that the transfers send again, over the last seconds
	suspect    bool    // the silence began in distress, or as rsync's rate rose
}

const (
	distressFor   = 1.0 // s of distress that are no moment's peak
	distressFrom  = 6.0 // s before silence is told in which distress counts: silence is told 2 s after it began
	roseFor       = 10. // s, the same for a rate that rose
	roseBy        = 1.5 // of the usual rate
	usualTau      = 3.0 // s
	retransTau    = 2.0 // s
	retransMany   = 5.  // segments/s
	retransRatio  = 0.02
	frame         = 1514. // bytes of a full Ethernet frame at an MTU of 1500
	busyCapacity  = 0.5   // of the capacity: with less, and no queue, the link is not busy
	busyWithRsync = 0.3   // of the link's rate: with less it is not busy with rsync
)

// observe follows the link, whether management answers or not.
func (o *outage) observe(m *model, e evidence) {
	o.retrans += (max(0, e.in.Delay.Retrans) - o.retrans) * blend(e.dt, retransTau)
	if o.distress(e, m.engage) {
		o.distressed, o.last, o.ever = o.distressed+e.dt, e.now, true
	} else {
		o.distressed = 0
	}
	if e.ours > roseBy*o.usual && e.ours > m.capacity.least() {
		o.rose, o.everRose = e.now, true
	}
	o.usual += (e.ours - o.usual) * blend(e.dt, usualTau)
}

// distress says that the link shows a queue or drops. The age of a request that
// waits for its answer is no queue: that of a host that is gone grows as well.
func (o *outage) distress(e evidence, engage float64) bool {
	queued := e.known && !e.in.Delay.Overdue && e.queue > engage
	again := o.retrans > retransMany && o.retrans > retransRatio*e.ours/frame
	return queued || again || e.in.Drops > dropsMany
}

// begin notes what the link was like when management fell silent.
func (o *outage) begin(now float64) {
	o.suspect = o.ever && now-o.last < distressFrom || o.roseWithin(now, roseFor)
}

// roseWithin says that our rate rose well above the usual one within the last seconds.
func (o *outage) roseWithin(now, within float64) bool { return o.everRose && now-o.rose < within }

// evident says that the link shows distress now; or that it did when management
// fell silent, and has shown nothing better since.
func (o *outage) evident(e evidence) bool {
	if o.distressed >= distressFor {
		return true
	}
	return o.suspect && (!e.known || e.in.Delay.Overdue)
}

// byRsync says whether the link is busy with rsync, and there is evidence that
// this is what shuts management out.
func (o *outage) byRsync(m *model, e evidence) bool {
	if !o.evident(e) {
		return false
	}
	if !e.rateKnown {
		return e.running > 0
	}
	best := m.capacity.best()
	busy := e.known && e.queue > m.target || best == 0 || e.peak > busyCapacity*best
	return busy && e.peak > m.capacity.least() && e.peak > busyWithRsync*e.rate
}
