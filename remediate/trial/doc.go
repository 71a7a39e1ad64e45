// Package trial finds out by behaviour which remedies work on this host, on a loopback
// connection to a child of ours. In comes the child's command line, out go capabilities,
// each with the likely cause where it is missing. It never touches a process or socket of
// others, apart from Reach, which takes a duplicate of a transfer's socket.
package trial
