// Package remediate makes the kernel match the limits that were decided: receive
// windows, pacing, shapers, TCP's bursts, and stopped processes. In come the desired state
// and the transfers of a cycle, out goes what is in force and what failed. It never makes
// a change whose undo is not in the ledger, and none while no guard would undo it.
package remediate
