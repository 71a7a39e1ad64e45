// Package netfilter holds the words that the rule analysis shares with the kernel:
// address families and iptables' back ends, conntrack states, TCP flags, address types,
// and the packets, trace steps and assumptions that an answer is made of.
//
// Nothing comes in and nothing is decided here. It imports no other package of the
// analysis.
package netfilter
