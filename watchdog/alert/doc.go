// Package alert turns conditions into alerts that arrive. Conditions of one
// link or path that overlap in time are one incident; an incident fires, is
// updated, reminded of and resolved; each of these events is spooled on disk
// before it is sent, and kept there until its receiver has taken it.
//
// The parts: mailbox (what the control loop leaves behind, without waiting),
// lifecycle (pure: conditions in, events out), spool (memory in front of a
// bbolt file), one worker for each receiver, and one format for each type of
// receiver. The control loop waits for none of them, and no worker waits for
// another.
package alert
