// Package alert turns conditions into alerts that arrive. The control loop leaves
// conditions, changes and remarks in a mailbox; what comes out are HTTP requests to
// receivers, a history of incidents, and figures for status and metrics. It never
// makes the control loop wait, and never lets one receiver wait for another.
//
// A condition on its way to a webhook: Alerts.Take puts it into the mailbox,
// Alerts.step hands it to incident.Lifecycle, which answers with events;
// spool.Spool.Record keeps these on disk; the notify.Worker of each receiver takes
// them from there and sends them in its receiver's format.
package alert
