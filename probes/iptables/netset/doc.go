// Package netset has sets of addresses and ports: as sorted ranges, and as addresses that
// agree under a mask with holes.
//
// Prefixes, ranges and masks of one address family come in; sets go out, which are never
// changed once made. It knows nothing of rules and packets.
package netset
