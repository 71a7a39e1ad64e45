// Package preboot answers, before a reboot happens, whether this machine can
// still be managed after it: safe, unsafe or unknown.
//
// In come options of whoever asks, the saved rules (package savedrules) and what the
// host says of itself (package hostinfo); out comes a Report with its verdict and its
// reason. Two engines look at the rules: the analysis (package iptables) covers every
// packet of the question, and the rehearsal loads the files with the real restore tools
// into a scratch network that mirrors the host and sends real connections there
// (package sandbox).
//
// It never changes the host, and never believes one engine where both ran and
// disagree: that is unknown, and so is an error, never safe.
package preboot
