// Package preboot answers, before a reboot happens, whether this machine can
// still be managed after it: safe, unsafe or unknown.
//
// Two engines look at the saved rules. The analysis (package iptables) covers
// every packet of the question; the rehearsal loads the files with the real
// restore tool into a scratch network namespace that mirrors the host, and
// sends real connections. Neither is believed alone where both ran: a
// disagreement is unknown. An error is unknown too, never safe.
//
// A rules file is hostile input. The tools run in namespaces of their own,
// with a root that shows programs and name tables only, without the power to
// gain privileges, under limits of memory and time, and die with their parent.
package preboot
