// Package rsync finds the rsync transfers of this host and measures them.
//
// A transfer is every process and the one TCP connection of an rsync: the
// children of a daemon, clients of one, and both ends of an rsync over ssh,
// where the socket belongs to sshd or ssh. Processes are told apart by what
// they execute and hold, never by their name alone, and each is held as (pid,
// start time).
//
// Probe.Run discovers (package discovery), Probe.Sample measures. In between,
// Probe.Appeared wakes the caller as soon as a new transfer is known, so that it
// can be limited before its window has opened. The probe changes nothing of what
// it looks at.
//
// Beneath it, each importing only what stands before it: cmdline (what an rsync's
// command line says), proc (reading /proc), procevents (the proc connector), sockets
// (looking at other processes' sockets), rsyncd (the configuration of a daemon),
// proctable (what is known of the processes that matter), grouping (processes and
// sockets to transfers and ssh sessions), discovery (the loop). proctest is a /proc
// tree for their tests.
package rsync
