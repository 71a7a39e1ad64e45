package rules

import (
	"errors"
	"strconv"
	"strings"

	"lifeline/probes/iptables/netset"
)

// resolverPort reads a port as the C library's resolver does: decimal, and cut
// to 16 bits, or a service name.
func (n Names) resolverPort(s string) (uint16, error) {
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return uint16(v), nil
	}
	port, err := n.service(s, "tcp")
	if err != nil && !errors.Is(err, errUnresolved) {
		return n.service(s, "udp")
	}
	return port, err
}

// portPair reads "a", "a:b", ":b", "a:" for the options that go through the
// resolver. The range may be reversed.
func (n Names) portPair(s string) (netset.PortRange, error) {
	if s == "" {
		return netset.PortRange{}, nil // as 0
	}
	return portRange(s, n.resolverPort)
}

// tcpPorts reads the port range of the tcp and sctp matches.
func (n Names) tcpPorts(s, proto string) (netset.PortRange, error) {
	r, err := portRange(s, func(s string) (uint16, error) { return n.service(s, proto) })
	if err == nil && r.Lo > r.Hi {
		err = errors.New("invalid portrange (min > max)")
	}
	return r, err
}

// portRange reads "a", "a:b", ":b" or "a:". Where an end is not resolved the other must
// still be right.
func portRange(s string, end func(string) (uint16, error)) (r netset.PortRange, err error) {
	l, h, isRange := strings.Cut(s, ":")
	if !isRange {
		r.Lo, err = end(l)
		r.Hi = r.Lo
		return r, err
	}
	r.Hi = 65535
	if l != "" {
		if r.Lo, err = end(l); err != nil && !errors.Is(err, errUnresolved) {
			return r, err
		}
	}
	if h != "" {
		hi, hiErr := end(h)
		if r.Hi = hi; hiErr != nil && (err == nil || !errors.Is(hiErr, errUnresolved)) {
			err = hiErr
		}
	}
	return r, err
}

// portProtocol is the name of a protocol that has ports, empty for others.
func portProtocol(n uint8) string {
	switch n {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 136:
		return "udplite"
	case 132:
		return "sctp"
	case 33:
		return "dccp"
	}
	return ""
}

// parseMultiport reads up to 15 ports, a range counting twice.
func (n Names) parseMultiport(s, proto string) (rs []netset.PortRange, err error) {
	slots := 0
	for x := range strings.SplitSeq(s, ",") {
		slots += 1 + min(1, strings.Count(x, ":"))
		if slots > 15 {
			return nil, errors.New("too many ports specified")
		}
		r, portErr := n.multiportPart(x, proto)
		if portErr != nil && !errors.Is(portErr, errUnresolved) {
			return nil, portErr
		}
		if portErr != nil {
			err = portErr
		}
		rs = append(rs, r)
	}
	return rs, err
}

// multiportPart reads a port or a range, whose ends must both be there.
func (n Names) multiportPart(s, proto string) (r netset.PortRange, err error) {
	l, h, isRange := strings.Cut(s, ":")
	lo, err := n.service(l, proto)
	if !isRange || err != nil && !errors.Is(err, errUnresolved) {
		return netset.PortRange{Lo: lo, Hi: lo}, err
	}
	hi, hiErr := n.service(h, proto)
	switch {
	case hiErr != nil:
		err = hiErr
	case err == nil && lo >= hi:
		err = errors.New("invalid portrange specified")
	}
	return netset.PortRange{Lo: lo, Hi: hi}, err
}
