// Package process holds processes by pidfd and (pid, start time), stops them and lets
// them run, and decides when a paused one gets a pulse. In come identities and what a
// pause was seen to do, out go signals and the next action. It never touches a process
// whose start time is another, one that accepts connections, or one above this process.
package process
