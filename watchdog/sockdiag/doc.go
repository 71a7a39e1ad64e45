// Package sockdiag asks sock_diag(7) about TCP sockets of this thread's network
// namespace, and reads struct tcp_info. In come connections by their addresses and
// inodes, out go what the kernel says of them now: whether they still stand, and their
// struct tcp_info. It never changes a socket, and believes no answer about addresses
// that another socket has by now.
package sockdiag
