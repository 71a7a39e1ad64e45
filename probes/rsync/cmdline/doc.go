// Package cmdline reads the command line of an rsync (rsync(1)). In comes an argument
// vector, and of /proc/PID/environ what changes its meaning; out go the role (daemon,
// server, client), which side is remote, the ports of a daemon and the io timeout. It
// never decides by a name alone that a process is an rsync, and asks no kernel.
package cmdline
