// Package alerttest is for the tests of package alert and of those below it:
// receivers on loopback, well-behaved and hostile, and events to send them. It is in
// no program.
package alerttest
