// Package metrics shows what the watchdog sees, decides and does to Prometheus. In
// comes the report of each cycle; out go, at each scrape, the latest one and the sums
// of all. Neither ever waits for the other, and no label takes its values from a
// process, a path or a peer: their number is bounded by the host's hardware and its
// configuration.
//
// Names, units and labels follow https://prometheus.io/docs/practices/naming.
package metrics
