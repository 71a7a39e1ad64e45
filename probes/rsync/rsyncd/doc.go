// Package rsyncd reads the configurations (rsyncd.conf(5)) of the rsync daemons that are
// met. In comes a daemon's child with the process above it; out go its modules, with their
// paths, directions and timeouts. It never reads a file that the daemon's own user may not
// read, in that process's own root directory, and never opens what is not a regular file.
package rsyncd
