// Package kernelmem sums up the kernel memory that rule files ask for, before anything
// loads them.
//
// Files of iptables, arptables, ipset and nft come in as bytes; an upper estimate of
// bytes goes out, and the line that asks for the most. It does not depend on whether the
// files can be parsed, and no file makes it fail.
package kernelmem
