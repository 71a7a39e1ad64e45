// Package proctable keeps what was read of the processes that may be part of a transfer:
// rsyncs, those above and below them, and sshd's. In come events or pids and the time of a
// pass; out go processes, their children and the sockets that they hold, as fresh as the
// question needs. It never does more in one pass than MaxPassWork, however many processes
// and descriptors anybody starts.
package proctable
