// Package iptables reads saved iptables rules and decides, for a whole set of
// packets at once, whether they let management in.
//
// It is pure: files come in as bytes, an answer goes out. A known match is
// exact; everything else splits the packets in two and is named as an
// assumption, so that Allowed is never said of packets that could be dropped.
package iptables
