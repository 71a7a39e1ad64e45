//go:build race

package control

// racing says that the race detector is on. It makes the simulation ten times
// slower and has nothing to find in code without goroutines, so that the long
// runs are left to the test without it.
const racing = true
