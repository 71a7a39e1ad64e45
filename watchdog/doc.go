// Package watchdog holds the types that travel through Lifeline. Probes fill a
// Snapshot; the engine answers it with a Decision (what is Desired, and which
// Conditions stand); remediation answers that with an Outcome, and a Report of all
// three goes to status, metrics and alerts. It decides nothing and touches nothing.
package watchdog
