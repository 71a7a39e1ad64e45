package rules

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lifeline/probes/iptables/lex"
)

// Names are the name tables of the machine in question. A nil map means that
// its table is not known: a name that is not among the well-known ones then
// makes the load status unknown instead of failed.
type Names struct {
	// Services maps "ssh/tcp" to its port.
	Services map[string]uint16
	// Protocols maps "tcp" to its number.
	Protocols map[string]uint8
	// Users maps an account name to its uid, Groups a group name to its gid.
	Users  map[string]uint32
	Groups map[string]uint32
}

// Files that Names are read from, as on any Linux host.
type NameFiles struct {
	Services, Protocols, Passwd, Group []byte
}

// ReadNames reads the name tables of a machine from the contents of
// /etc/services, /etc/protocols, /etc/passwd and /etc/group. A nil content
// leaves its table unknown.
func ReadNames(f NameFiles) Names {
	var n Names
	if f.Services != nil {
		n.Services = map[string]uint16{}
		eachNamed(f.Services, func(names []string, value string) {
			num, proto, _ := strings.Cut(value, "/")
			port, err := strconv.ParseUint(num, 10, 16)
			for _, s := range names {
				if _, twice := n.Services[s+"/"+proto]; err == nil && !twice {
					n.Services[s+"/"+proto] = uint16(port)
				}
			}
		})
	}
	if f.Protocols != nil {
		n.Protocols = map[string]uint8{}
		eachNamed(f.Protocols, func(names []string, value string) {
			num, err := strconv.ParseUint(value, 10, 8)
			for _, s := range names {
				if _, twice := n.Protocols[s]; err == nil && !twice {
					n.Protocols[s] = uint8(num)
				}
			}
		})
	}
	if f.Passwd != nil {
		n.Users = accounts(f.Passwd)
	}
	if f.Group != nil {
		n.Groups = accounts(f.Group)
	}
	return n
}

// eachNamed walks lines of "name value alias...".
func eachNamed(text []byte, each func(names []string, value string)) {
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if w := strings.Fields(line); len(w) >= 2 {
			each(append([]string{w[0]}, w[2:]...), w[1])
		}
	}
}

// accounts reads the first and third column of passwd and group.
func accounts(text []byte) map[string]uint32 {
	m := map[string]uint32{}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if c := strings.Split(s.Text(), ":"); len(c) >= 3 {
			if id, err := strconv.ParseUint(c[2], 10, 32); err == nil {
				m[c[0]] = uint32(id)
			}
		}
	}
	return m
}

// protocolNumber knows the names that the tool itself knows.
func protocolNumber(name string) (uint8, bool) {
	switch name {
	case "tcp":
		return 6, true
	case "udp":
		return 17, true
	case "icmp":
		return 1, true
	case "ipv6-icmp", "icmpv6":
		return 58, true
	case "esp":
		return 50, true
	case "ah":
		return 51, true
	case "sctp":
		return 132, true
	case "udplite":
		return 136, true
	case "mobility-header", "ipv6-mh", "mh":
		return 135, true
	case "all":
		return 0, true
	}
	return 0, false
}

// protocolName is the name whose match a numeric -p implies.
func protocolName(n uint8) string {
	for _, s := range []string{"tcp", "udp", "icmp", "ipv6-icmp", "esp", "ah", "sctp", "udplite", "mh"} {
		if v, _ := protocolNumber(s); v == n {
			return s
		}
	}
	if n == 33 {
		return "dccp"
	}
	return ""
}

// protocol resolves a protocol. The error is errUnresolved where only the machine's own
// table could tell.
func (n Names) protocol(s string) (uint8, error) {
	if v, ok := lex.Number(s, 0, 255); ok {
		return uint8(v), nil
	}
	if v, ok := protocolNumber(s); ok {
		return v, nil
	}
	if v, ok := n.Protocols[s]; ok {
		return v, nil
	}
	if n.Protocols == nil && s != "" && s[0] != '-' {
		if v, ok := commonProtocols()[s]; ok {
			return v, nil
		}
		return 0, errUnresolved
	}
	return 0, fmt.Errorf("unknown protocol %q specified", s)
}

// commonProtocols are in every /etc/protocols.
func commonProtocols() map[string]uint8 {
	return map[string]uint8{
		"ip": 0, "igmp": 2, "ipencap": 4, "egp": 8, "igp": 9, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46,
		"gre": 47, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "ipip": 94, "encap": 98, "pim": 103,
		"ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "hip": 139, "dccp": 33,
	}
}

// service resolves a port or service name for a protocol name. The error is
// errUnresolved where only the machine's own table could tell.
func (n Names) service(s, proto string) (uint16, error) {
	if v, ok := lex.Number(s, 0, 65535); ok {
		return uint16(v), nil
	}
	if v, ok := n.Services[s+"/"+proto]; ok {
		return v, nil
	}
	if n.Services == nil && s != "" && (s[0] < '0' || s[0] > '9') && s[0] != '-' {
		if v, ok := commonServices()[s]; ok {
			return v, nil
		}
		return 0, errUnresolved
	}
	return 0, fmt.Errorf("invalid port/service `%s' specified", s)
}

// anyService resolves a service name of whichever protocol has it.
func (n Names) anyService(s string) (port uint16, err error) {
	for _, proto := range []string{"tcp", "udp", "sctp", "dccp"} {
		if port, err = n.service(s, proto); err == nil || errors.Is(err, errUnresolved) {
			return port, err
		}
	}
	return port, err
}

// commonServices are in every /etc/services, with the same port for tcp and
// for udp where both exist.
func commonServices() map[string]uint16 {
	return map[string]uint16{
		"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "www": 80,
		"kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138,
		"netbios-ssn": 139, "imap2": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "ldap": 389, "https": 443,
		"microsoft-ds": 445, "submission": 587, "ldaps": 636, "rsync": 873, "imaps": 993, "pop3s": 995,
		"openvpn": 1194, "mysql": 3306, "postgresql": 5432, "nfs": 2049, "syslog": 514, "bootps": 67, "bootpc": 68,
		"tftp": 69, "auth": 113, "isakmp": 500, "printer": 515, "ipp": 631, "sip": 5060, "x11": 6000,
		"dhcpv6-client": 546, "dhcpv6-server": 547, "mdns": 5353, "git": 9418, "munin": 4949, "zabbix-agent": 10050,
	}
}

// account looks whether a user or group of -m owner is one: a name or a range of
// numbers. The error is errUnresolved where only the machine's own table could tell.
func account(s string, table map[string]uint32) error {
	if _, ok := table[s]; ok || s == "root" {
		return nil
	}
	a, rest, ok := lex.NumberPrefix(s)
	if ok && (rest != "" && (rest[0] == '-' || rest[0] == ':')) {
		_, ok = lex.Number(rest[1:], 0, 1<<32-2)
		rest = ""
	}
	if ok && rest == "" && a <= 1<<32-2 {
		return nil
	}
	if table == nil && s != "" && (s[0] < '0' || s[0] > '9') {
		return errUnresolved
	}
	return errors.New("bad value \"" + s + "\"")
}
