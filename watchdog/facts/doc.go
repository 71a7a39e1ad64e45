// Package facts keeps on disk what Lifeline has learnt, as small values by name:
// capacities, base RTTs, management hosts. Put takes a value and Get gives it back, in
// this run or a later one; a task writes, and nobody waits for it. Where the disk is
// full, slow or broken, control goes on and Health says so. It keeps no history: that
// of incidents is the alerts'.
package facts
