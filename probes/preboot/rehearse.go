package preboot

import (
	"fmt"
	"slices"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/sandbox"
)

// patience is how much longer a connection may take that the analysis lets in
// and the first try did not: a busy machine must not look like a dead rule.
const patience = 3

// renewDeadline is how long a renewal of an IPv6 address may take.
const renewDeadline = time.Second

// rehearse tries the connections of a question and fills in the check.
func (i *inquiry) rehearse(q question, known *iptables.Result, c *CheckResult) {
	list := attempts(q, known)
	if len(list) == 0 {
		c.Status, c.Summary = Unclear, "no rehearsal was possible: no source of the question has an address that a host may have"
		return
	}
	ports := listenedPorts(q)
	timeout := i.options.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	outcomes, err := i.connect(list, ports, timeout)
	if err != nil {
		i.noteKilled(err)
		c.Status, c.Summary = Unclear, "the rehearsal broke off: "+err.Error()
		return
	}
	for n, a := range list {
		c.Probes = append(c.Probes, a.result(outcomes[n]))
	}
	if a, ok := narrowAttempt(list, outcomes); ok {
		if o, err := i.testbed.Connect(sandbox.Traffic{Listen: ports, Tries: []sandbox.Connection{a.Connection}, Timeout: timeout}); err == nil && len(o) == 1 {
			c.Probes = append(c.Probes, a.result(o[0]))
		}
	}
	c.conclude()
}

// listenedPorts are the ports on which the mirrored machine listens: those that the
// description names, else those that are asked about.
func listenedPorts(q question) []uint16 {
	if q.Host.Listen == nil {
		return q.Ports
	}
	var out []uint16
	for _, l := range q.Host.Listen {
		if !slices.Contains(out, l.Port()) {
			out = append(out, l.Port())
		}
	}
	return out
}

// renew settles, by trying, the caveats of IPv6 addresses and routes that
// must be renewed. What does not get through stays an assumption.
func (i *inquiry) renew(q question) {
	key := q.Iface + "/6"
	needs := func(name string) bool {
		return slices.ContainsFunc(i.caveats[key], func(a iptables.Assumption) bool { return a.Name == name })
	}
	if q.Family != iptables.IPv6 || !needs(hostinfo.ByAdvertisement) && !needs(hostinfo.ByDHCP) {
		return
	}
	got, err := i.testbed.RenewIPv6(sandbox.Renewal{Link: q.Iface, DHCP: needs(hostinfo.ByDHCP), Deadline: renewDeadline})
	if err != nil {
		i.noteKilled(err)
		i.report.Notes = append(i.report.Notes, "the renewal of IPv6 addresses could not be rehearsed: "+err.Error())
		return
	}
	passes := map[string]bool{hostinfo.ByAdvertisement: got.Advertised, hostinfo.ByDHCP: got.Leased}
	var left []iptables.Assumption
	for _, a := range i.caveats[key] {
		passed, tried := passes[a.Name]
		if tried && !passed {
			a.Why += ", and in the rehearsal they did not"
		}
		if !passed {
			left = append(left, a)
		}
	}
	i.caveats[key] = left
}

// connect tries connections, and once more, with more patience, those that
// contradict the analysis.
func (i *inquiry) connect(list []attempt, ports []uint16, timeout time.Duration) ([]sandbox.Outcome, error) {
	tr := sandbox.Traffic{Listen: ports, Timeout: timeout}
	for _, a := range list {
		tr.Tries = append(tr.Tries, a.Connection)
	}
	out, err := i.testbed.Connect(tr)
	if err != nil {
		return nil, err
	}
	if len(out) != len(list) {
		return nil, fmt.Errorf("%d of %d connections are answered for", len(out), len(list))
	}
	again := sandbox.Traffic{Listen: ports, Timeout: patience * timeout}
	var which []int
	for n, a := range list {
		if a.expect == iptables.Allowed && out[n] != sandbox.Established {
			again.Tries, which = append(again.Tries, a.Connection), append(which, n)
		}
	}
	if len(which) == 0 {
		return out, nil
	}
	second, err := i.testbed.Connect(again)
	if err != nil || len(second) != len(which) {
		return out, err
	}
	for k, n := range which {
		out[n] = second[k]
	}
	return out, nil
}

func (a attempt) result(o sandbox.Outcome) ProbeResult {
	via := viaGateway
	switch {
	case a.Narrow:
		via = viaNarrow
	case a.Neighbour != "":
		via = viaLink
	}
	return ProbeResult{Src: a.Src, SPort: a.SPort, Dst: a.Dst, Port: a.DPort, Via: via, Result: o, Expect: a.expect}
}

// conclude sums the probes of a rehearsal up.
func (c *CheckResult) conclude() {
	tried, in := 0, 0
	var first *ProbeResult
	for n, p := range c.Probes {
		switch {
		case p.Via == viaNarrow:
			if p.Result == sandbox.Stalled {
				c.Warnings = append(c.Warnings, "behind a hop with a smaller MTU a session hangs at the first large packet: the ICMP error that tells the machine (IPv4 type 3 code 4, ICMPv6 type 2) does not pass")
			}
		case p.Result == sandbox.NotTried:
		case p.Result == sandbox.Established:
			tried, in = tried+1, in+1
		default:
			tried++
			if first == nil {
				first = &c.Probes[n]
			}
		}
	}
	switch {
	case tried == 0:
		c.Status, c.Summary = Unclear, "no connection could be tried"
	case in == tried:
		c.Status, c.Verdict, c.Summary = OK, iptables.Allowed, fmt.Sprintf("%d of %d connections work", in, tried)
	default:
		c.Status, c.Verdict, c.Scope = Fail, iptables.Blocked, iptables.ScopePart
		if in == 0 {
			c.Scope = iptables.ScopeAll
		}
		c.Summary = fmt.Sprintf("%d of %d connections work; %s: %s", in, tried, first, first.Result)
	}
	if c.Status == OK && c.Load != iptables.LoadOK {
		c.Status = Unclear
		c.Summary += ", but the rules are not loaded as they stand"
	}
}
