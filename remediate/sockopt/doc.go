// Package sockopt reads and sets options of other processes' TCP sockets, on duplicates
// taken by pidfd_getfd(2), and finds who holds a socket. In come sockets and wanted
// options, out go the socket's state and errors. It never keeps a duplicate, which would
// keep the connection open, and never decides what an option should be.
package sockopt
