// Package nftables reads native nftables files, as far as to say whether they could drop
// a packet.
//
// Files in the order of the boot come in; for a family and a link, "drops all", "may drop
// some" or "drops nothing" goes out, with the chain. It does not model the rules: a
// statement that it does not know counts as one that may drop.
package nftables
