// Package logwriter keeps a log that nobody reads from holding up who logs. In come
// the lines of a slog handler; out they go, in order, to a file that may block, as a
// pipe does whose reader hangs. It never waits: lines beyond a bound are dropped and
// counted, and the log says how many once it can be written again.
package logwriter
