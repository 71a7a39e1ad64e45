//go:build !race

package control

// racing says that the race detector is on.
const racing = false
