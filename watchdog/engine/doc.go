// Package engine decides. Engine.Step takes what was seen (a Snapshot) and what
// stands in the kernel (an Outcome) and gives a Decision: the limits, pauses and
// shapers that are desired, and the conditions that hold. It reads no clock, file or
// socket and changes nothing itself; Loop calls it once a cycle between whoever
// samples and whoever acts.
package engine
