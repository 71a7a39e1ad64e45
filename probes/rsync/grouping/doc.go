// Package grouping sorts rsync processes and the sockets around them into transfers, and
// sshd's into sessions. In comes the process table; out go transfers with their members,
// their one connection and how far that may be limited or stopped, and why not further.
// It never takes a connection for a transfer's own that may be somebody else's.
package grouping
