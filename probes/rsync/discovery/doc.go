// Package discovery finds the transfers and ssh sessions of this host, by the proc
// connector or, without it, by looking for new pids. In come events, and pids to be read
// again; out go, after each pass, all transfers to a Publisher, and sessions, ssh ports
// and errors to whoever asks. It never spends more than a tenth of a processor in the long
// run, and measures nothing.
package discovery
