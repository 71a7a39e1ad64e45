// Package rtattr reads netlink attributes (struct rtattr of rtnetlink(7), struct nlattr
// of netlink(7)): a type, a length and a payload, padded to four bytes, one after the
// other. In come the bytes of a message from the kernel behind its fixed header, out go
// its attributes as parts of those bytes. It never copies, allocates, or asks the kernel.
package rtattr
