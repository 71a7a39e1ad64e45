// Package iptables answers whether the saved rules of a machine let management in.
//
// A Question and the files that the boot loads come in as bytes; a Result goes out: the
// verdict, a packet that is dropped with its trace, or what the answer rests on. It is
// the facade of the packages beneath it: rules reads the files, flow takes the packets
// through them, nftables and arptables look at what else is loaded. It opens no file and
// starts no program, and it never says Allowed of packets that could be dropped.
package iptables
