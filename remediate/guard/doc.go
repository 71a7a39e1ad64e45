// Package guard is the process that undoes everything when its daemon dies or hangs, and
// the daemon's side of it. In come the ledger's records and heartbeats, out goes the undo
// at the end of the lease. It never acts while the daemon lives and beats.
package guard
