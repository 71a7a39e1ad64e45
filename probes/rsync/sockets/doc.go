// Package sockets looks at sockets that other processes hold. In comes a process, a
// descriptor and the inode that it is to have; out goes what the socket is, by a duplicate
// (pidfd_getfd(2)) or by the tables of /proc/PID/net. It never keeps a duplicate longer
// than a call, and holds each process by a pidfd, so that a reused pid is never another's.
package sockets
