// Package hostinfo tells what this host is, as far as management over the network
// goes: its links, addresses and routes, the ssh sessions that people have and had, where
// sshd listens, and which restore tool loads its rules.
//
// In come netlink, /proc, sshd and its files; out come values, on which pure functions
// decide which link leads to an address, and whom to ask about of many who logged in.
// It never changes anything but the file of remembered sessions, and never takes a process
// for sshd by its name.
package hostinfo
