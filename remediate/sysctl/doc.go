// Package sysctl keeps net.ipv4.tcp_tso_rtt_log at the value that makes TCP's bursts
// small, while that is wanted. In comes the wish, out go the ledger entry, the write and
// its undo. It never overrides what somebody else has set since.
package sysctl
