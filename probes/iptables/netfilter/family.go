package netfilter

import "net/netip"

// Backend says which of the two iptables back ends loads a file. They accept
// different files and read some of them differently.
type Backend string

const (
	// NFT is iptables-nft-restore: rules become nf_tables expressions.
	NFT Backend = "nft"
	// Legacy is iptables-legacy-restore: rules become x_tables blobs.
	Legacy Backend = "legacy"
)

// Other is the back end that b is not.
func (b Backend) Other() Backend {
	if b == NFT {
		return Legacy
	}
	return NFT
}

// Family is an address family by its IP version number, 4 or 6.
type Family int

const (
	// IPv4 is what iptables-restore loads.
	IPv4 Family = 4
	// IPv6 is what ip6tables-restore loads.
	IPv6 Family = 6
)

// Of reports whether address a belongs to the family.
func (f Family) Of(a netip.Addr) bool { return a.Is4() == (f == IPv4) }

// Bits is the length of the family's addresses.
func (f Family) Bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

// Valid reports whether f is 4 or 6.
func (f Family) Valid() bool { return f == IPv4 || f == IPv6 }

// Valid reports whether b is one of the two.
func (b Backend) Valid() bool { return b == NFT || b == Legacy }

// MaxFileWork bounds, for each file, how many rules, chains or sets are gone through
// for the commands that do not only add one. Files as the save tools write them
// have none of those.
const MaxFileWork = 8_000_000
