// Package shaper holds the transfers of a link below a rate with HTB, on the link itself
// for what goes out and on an ifb for what comes in. In come rates and transfers, out go
// qdiscs, classes, filters and socket priorities, each in the ledger first. It never
// replaces what an operator has put on a link, and slows nothing but the transfers.
package shaper
