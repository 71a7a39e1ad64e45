package netfilter

import "strings"

// Conntrack states as bits; a packet may be one of several where it is not
// certain which.
const (
	StateInvalid uint8 = 1 << iota
	StateNew
	StateEstablished
	StateRelated
	StateUntracked
	StateSNAT
	StateDNAT
)

// StateString lists the states that a packet may have, joined by "|".
func StateString(m uint8) string {
	out := ""
	for i, n := range [...]string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"} {
		if m>>i&1 != 0 {
			if out != "" {
				out += "|"
			}
			out += n
		}
	}
	return out
}

// TCP flags as in the header.
const (
	FlagFIN uint8 = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
)

// FlagNames are the names of the TCP flags, by bit.
var FlagNames = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"}

// FlagString lists flags for people.
func FlagString(f uint8) string {
	var out []string
	for i, n := range FlagNames {
		if f>>i&1 != 0 {
			out = append(out, n)
		}
	}
	return strings.Join(out, ",")
}

// Address types of the addrtype match, as bits in the kernel's order.
var AddrTypeNames = [...]string{"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
	"BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE"}

const (
	AddrTypeUnspec    uint16 = 1 << 0
	AddrTypeUnicast   uint16 = 1 << 1
	AddrTypeLocal     uint16 = 1 << 2
	AddrTypeBroadcast uint16 = 1 << 3
	AddrTypeMulticast uint16 = 1 << 5
)
