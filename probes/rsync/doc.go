// Package rsync finds the rsync transfers of this host and follows them.
//
// A transfer is every process and the one TCP connection of an rsync: the
// children of a daemon, clients of one, and both ends of an rsync over ssh,
// where the socket belongs to sshd or ssh. Processes are told apart by what
// they execute and hold, never by their name alone, and each is held as (pid,
// start time).
//
// Probe.Run discovers (by the kernel's proc connector where it works, else by
// watching for new pids), Probe.Sample measures. In between, Probe.Appeared
// wakes the caller as soon as a new transfer is known, so that it can be
// limited before its window has opened.
//
// What is pure (parsing, grouping, the direction of a transfer) is apart from
// what touches the kernel (files named _linux.go).
package rsync
