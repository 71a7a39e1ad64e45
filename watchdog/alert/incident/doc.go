// Package incident groups conditions that overlap on one link or path into
// incidents, and decides which receiver is told of them when. Conditions, silences
// and the time come in; events, and incidents to be kept, go out. It is pure: it has
// no clock, no file and no socket, and starts no goroutine.
package incident
