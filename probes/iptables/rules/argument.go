package rules

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// valueType is what an option takes for an argument. The check looks at it as far as the
// tool itself would; nil takes anything.
type valueType struct {
	words    int  // that the argument takes, 0 only where it is optional
	optional bool // one word, if one follows that is no option
	check    argumentCheck
}

// argumentCheck says what is wrong with an argument of an extension that a rule uses.
type argumentCheck func(p *ruleParser, u *extensionUse, a *optionUse) error

// valueTypes are the types of arguments, by the names that the lists of options use.
var valueTypes = map[string]valueType{
	"maybe":    {optional: true},
	"text":     {1, false, fitsLength},
	"twoWords": {2, false, fitsLength},

	"u8":       {1, false, unsigned(8)},
	"u16":      {1, false, unsigned(16)},
	"u32":      {1, false, unsigned(32)},
	"hitCount": {1, false, hitCount},
	"u64":      {1, false, unsigned(64)},
	"u16s":     {1, false, unsignedRange(16, nil)},
	"u32s":     {1, false, unsignedRange(32, nil)},
	"u64s":     {1, false, unsignedRange(64, ascending)},
	"mss":      {1, false, unsignedRange(16, ascending)},
	"queues":   {1, false, unsignedRange(16, fewerThan65536)},
	"number":   {1, false, decimal},
	"tos":      {1, false, valid(validTOS)},
	"mark":     {1, false, valid(func(s string) bool { _, _, ok := valueMask(s); return ok })},
	"logLevel": {1, false, valid(validLogLevel)},
	"zone":     {1, false, valid(validZone)},
	"rate":     {1, false, valid(validRate)},

	"host":       {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error { return p.checkHost(a, false) }},
	"hostMask":   {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error { return p.checkHost(a, true) }},
	"addrRange":  {1, false, validIn(func(s string, f netfilter.Family) bool { _, ok := parseAddrRange(s, f); return ok })},
	"prefixLen":  {1, false, validIn(func(s string, f netfilter.Family) bool { _, ok := netMask(s, f); return ok })},
	"mac":        {1, false, valid(validMAC)},
	"protocol":   {1, false, protocolArgument},
	"port":       {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error { return p.checkPorts(a.arg, false) }},
	"ports":      {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error { return p.checkPorts(a.arg, true) }},
	"tcpPorts":   {1, false, portsOfExtension},
	"multiport":  {1, false, multiport},
	"natAddress": {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error { return p.checkNAT(a.arg, false) }},
	"natPorts":   {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error { return p.checkNAT(a.arg, true) }},

	"states":       {1, false, valid(func(s string) bool { _, ok := parseStates(s); return ok })},
	"ctDirection":  {1, false, valid(func(s string) bool { return strings.EqualFold(s, "ORIGINAL") || strings.EqualFold(s, "REPLY") })},
	"ctStatus":     {1, false, valid(func(s string) bool { return listOf(s, "none expected seen_reply assured confirmed") })},
	"addrTypes":    {1, false, valid(func(s string) bool { _, ok := parseAddrTypes(s); return ok })},
	"tcpFlags":     {2, false, tcpFlags},
	"icmpType":     {1, false, icmpTypeOf(netfilter.IPv4)},
	"icmpv6Type":   {1, false, icmpTypeOf(netfilter.IPv6)},
	"mobilityType": {1, false, valid(validMobility)},
	"rejectType":   {1, false, validIn(validReject)},
	"user": {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error {
		return p.resolved(account(a.arg, p.names.Users))
	}},
	"group": {1, false, func(p *ruleParser, _ *extensionUse, a *optionUse) error {
		return p.resolved(account(a.arg, p.names.Groups))
	}},
	"setAndDirs": {2, false, setAndDirections},
	"connLabel":  {1, false, connectionLabel},
	"accounting": {1, false, accountingObject},
	"tcpOptions": {1, false, valid(validStrip)},

	"connbytesMode": {1, false, oneOf("packets bytes avgpkt")},
	"connbytesDir":  {1, false, oneOf("original reply both")},
	"statisticMode": {1, false, oneOf("random nth")},
	"ipsecDir":      {1, false, oneOf("in out")},
	"ipsecPolicy":   {1, false, oneOf("none ipsec")},
	"auditType":     {1, false, oneOfFolded("accept drop reject")},
	"packetType":    {1, false, oneOfFolded("unicast broadcast multicast bcast mcast host")},
}

// errUnresolved is the error of a name that only the machine's own tables could tell.
var errUnresolved = errors.New("a name that the machine's tables must know")

// resolved notes a name that is not resolved; another error stays one.
func (p *ruleParser) resolved(err error) error {
	if errors.Is(err, errUnresolved) {
		p.uncertain = append(p.uncertain, err.Error())
		return nil
	}
	return err
}

// bad is the error of an argument that the option does not take.
func (a *optionUse) bad() error {
	return fmt.Errorf("bad value for option \"--%s\": %q", a.opt.name, a.arg)
}

// valid takes what a syntax takes.
func valid(syntax func(string) bool) argumentCheck {
	return func(_ *ruleParser, _ *extensionUse, a *optionUse) error {
		if !syntax(a.arg) {
			return a.bad()
		}
		return nil
	}
}

// validIn takes what a syntax takes that depends on the address family.
func validIn(syntax func(string, netfilter.Family) bool) argumentCheck {
	return func(p *ruleParser, _ *extensionUse, a *optionUse) error {
		if !syntax(a.arg, p.family) {
			return a.bad()
		}
		return nil
	}
}

// oneOf takes one of the words of a list, oneOfFolded also in capitals.
func oneOf(list string) argumentCheck {
	return valid(func(s string) bool { return lex.OneOf(s, list) })
}

func oneOfFolded(list string) argumentCheck {
	return valid(func(s string) bool { return lex.OneOf(strings.ToLower(s), list) })
}

// fitsLength takes a text of min to max bytes.
func fitsLength(_ *ruleParser, _ *extensionUse, a *optionUse) error {
	if n := uint64(len(a.arg)); n < a.opt.min || a.opt.max != 0 && n > a.opt.max {
		return a.bad()
	}
	return nil
}

// unsigned takes a number of so many bits, or of the option's own bounds.
func unsigned(bits int) argumentCheck {
	return func(_ *ruleParser, _ *extensionUse, a *optionUse) error {
		hi := maxOf(bits)
		if a.opt.max != 0 {
			hi = a.opt.max
		}
		if _, ok := lex.Number(a.arg, a.opt.min, hi); !ok {
			return a.bad()
		}
		return nil
	}
}

// maxOf is the largest number of so many bits.
func maxOf(bits int) uint64 { return ^uint64(0) >> (64 - bits) }

// unsignedRange takes "a", "a:b", ":b" or "a:"; fits may ask for more of the two.
func unsignedRange(bits int, fits func(lo, hi uint64) bool) argumentCheck {
	return valid(func(s string) bool {
		lo, hi, ok := numberRange(s, maxOf(bits))
		return ok && (fits == nil || fits(lo, hi))
	})
}

func ascending(lo, hi uint64) bool { return lo <= hi }

// fewerThan65536: the kernel counts the queues of NFQUEUE in 16 bits.
func fewerThan65536(lo, hi uint64) bool { return lo < hi && hi-lo < 65535 }

func decimal(_ *ruleParser, _ *extensionUse, a *optionUse) error {
	f, err := strconv.ParseFloat(a.arg, 64)
	if inside := f >= float64(a.opt.min) && f <= float64(a.opt.max); err != nil || a.opt.max != 0 && !inside {
		return a.bad()
	}
	return nil
}

func protocolArgument(p *ruleParser, _ *extensionUse, a *optionUse) error {
	_, err := p.names.protocol(a.arg)
	return p.resolved(err)
}

// portsOfExtension takes the ports of the protocol that the extension is called by.
func portsOfExtension(p *ruleParser, u *extensionUse, a *optionUse) error {
	_, err := p.names.tcpPorts(a.arg, u.ext.name)
	return p.resolved(err)
}

// multiport also needs a protocol with ports before it.
func multiport(p *ruleParser, _ *extensionUse, a *optionUse) error {
	proto := portProtocol(p.protoNum)
	if proto == "" || p.isInverted('p') {
		return errors.New("multiport needs -p tcp, udp, udplite, sctp or dccp before it")
	}
	_, err := p.names.parseMultiport(a.arg, proto)
	return p.resolved(err)
}

func tcpFlags(_ *ruleParser, _ *extensionUse, a *optionUse) error {
	_, ok1 := parseFlags(a.arg)
	_, ok2 := parseFlags(a.arg2)
	if !ok1 || !ok2 {
		return a.bad()
	}
	return nil
}

// hitCount is a number of packets that xt_recent looks back for: up to 255, and from Linux
// 6.8 on up to 65535.
func hitCount(p *ruleParser, u *extensionUse, a *optionUse) error {
	if n, ok := lex.Number(a.arg, 0, 1<<16-1); ok && n > 255 {
		p.uncertain = append(p.uncertain, "a hit count above 255 needs Linux 6.8")
	}
	return unsigned(32)(p, u, a)
}

func icmpTypeOf(f netfilter.Family) argumentCheck {
	return func(p *ruleParser, _ *extensionUse, a *optionUse) error {
		_, ok := parseICMP(a.arg, f)
		if f == netfilter.IPv6 && strings.HasPrefix(strings.ToLower(a.arg), "mld") {
			p.uncertain = append(p.uncertain, "an ICMPv6 name that came with iptables 1.8.10")
		}
		if !ok {
			return a.bad()
		}
		return nil
	}
}

// setAndDirections takes the name of an ipset and "src" or "dst" for each dimension.
func setAndDirections(_ *ruleParser, _ *extensionUse, a *optionUse) error {
	if len(a.arg) >= 32 || !listOf(a.arg2, "src dst") {
		return a.bad()
	}
	return nil
}

// connectionLabel takes a number, or a name that the machine's table must know.
func connectionLabel(p *ruleParser, u *extensionUse, a *optionUse) error {
	if err := fitsLength(p, u, a); err != nil {
		return err
	}
	if _, ok := lex.Number(a.arg, 0, 127); ok {
		return nil
	}
	if a.arg[0] >= '0' && a.arg[0] <= '9' {
		return a.bad()
	}
	p.uncertain = append(p.uncertain, fmt.Sprintf("connection label %q", a.arg))
	return nil
}

func accountingObject(p *ruleParser, u *extensionUse, a *optionUse) error {
	if err := fitsLength(p, u, a); err != nil {
		return err
	}
	p.uncertain = append(p.uncertain, fmt.Sprintf("accounting object %q", a.arg))
	return nil
}

func (p *ruleParser) checkHost(a *optionUse, masked bool) error {
	name := a.arg
	if masked {
		if n, m, ok := strings.Cut(a.arg, "/"); ok {
			name = n
			if _, good := netMask(m, p.family); !good {
				return a.bad()
			}
		}
	}
	if _, ok := numericAddr(name, p.family); ok {
		return nil
	}
	if notAHostName(name) {
		return a.bad()
	}
	p.uncertain = append(p.uncertain, fmt.Sprintf("host name %q", name))
	return nil
}

func (p *ruleParser) checkPorts(s string, many bool) error {
	if !many && strings.Contains(s, ":") || strings.Count(s, ":") > 1 {
		return fmt.Errorf("port %q does not resolve to anything", s)
	}
	_, err := p.names.portPair(s)
	return p.resolved(err)
}

func (p *ruleParser) checkNAT(s string, portsOnly bool) error {
	_, err := p.parseNAT(s, portsOnly)
	return err
}

func validTOS(s string) bool {
	if _, rest, ok := lex.NumberPrefix(s); ok && (rest == "" || rest[0] == '/') {
		if rest == "" {
			return true
		}
		_, ok = lex.Number(rest[1:], 0, 255)
		return ok
	}
	return lex.OneOf(strings.ToLower(s),
		"minimize-delay maximize-throughput maximize-reliability minimize-cost normal-service")
}

func validLogLevel(s string) bool {
	_, ok := lex.Number(s, 0, 7)
	return ok || lex.OneOf(s, "alert crit debug emerg error info notice panic warning")
}

func validZone(s string) bool {
	_, ok := lex.Number(s, 0, 65535)
	return ok || strings.EqualFold(s, "mark")
}

func validMAC(s string) bool {
	parts := strings.Split(s, ":")
	for _, x := range parts {
		if _, err := strconv.ParseUint(x, 16, 8); err != nil || len(x) > 2 {
			return false
		}
	}
	return len(parts) == 6
}

// validMobility reads "type[:type]", where a type is a number or a name that may
// be cut short (ip6tables-extensions(8), mh).
func validMobility(s string) bool {
	lo, hi, isRange := strings.Cut(s, ":")
	bounds := [2]uint64{0, 255}
	for i, x := range []string{lo, hi} {
		if x == "" && isRange || i == 1 && !isRange {
			continue
		}
		n, numeric := lex.Number(x, 0, 255)
		if !numeric {
			return beginsOne(x, "binding-refresh-request brr home-test-init hoti careof-test-init coti home-test hot"+
				" careof-test cot binding-update bu binding-acknowledgement ba binding-error be")
		}
		bounds[i] = n
	}
	return !isRange || bounds[0] <= bounds[1]
}

func validStrip(s string) bool {
	for x := range strings.SplitSeq(s, ",") {
		if _, ok := lex.Number(x, 2, 255); !ok && !lex.OneOf(x, "wscale mss sack-permitted sack timestamp md5") {
			return false
		}
	}
	return true
}

// listOf checks a comma list of words that may be cut short, as the tool's
// strncasecmp takes them.
func listOf(s, words string) bool {
	for x := range strings.SplitSeq(s, ",") {
		if x == "" || !beginsOne(x, words) {
			return false
		}
	}
	return true
}

func beginsOne(x, words string) bool {
	for w := range strings.FieldsSeq(words) {
		if len(x) <= len(w) && strings.EqualFold(w[:len(x)], x) {
			return true
		}
	}
	return false
}

// validRate is "n[/second|minute|hour|day]", the unit possibly cut short.
func validRate(s string) bool {
	n, unit, has := strings.Cut(s, "/")
	if has && (unit == "" || !beginsOne(unit, "second minute hour day")) {
		return false
	}
	v := 0
	for i := 0; i < len(n) && n[i] >= '0' && n[i] <= '9' && v < 1<<24; i++ {
		v = v*10 + int(n[i]-'0')
	}
	return v > 0
}

func validReject(s string, f netfilter.Family) bool {
	names := "icmp-net-unreachable net-unreach icmp-host-unreachable host-unreach icmp-proto-unreachable proto-unreach" +
		" icmp-port-unreachable port-unreach icmp-net-prohibited net-prohib icmp-host-prohibited host-prohib" +
		" tcp-reset tcp-rst icmp-admin-prohibited admin-prohib"
	if f == netfilter.IPv6 {
		names = "icmp6-no-route no-route icmp6-adm-prohibited adm-prohibited icmp6-addr-unreachable addr-unreach" +
			" icmp6-port-unreachable port-unreach tcp-reset icmp6-policy-fail policy-fail icmp6-reject-route reject-route"
	}
	return s == "" || beginsOne(s, names)
}
