// Package scenario re-enacts the incident in a lab: transfers fill the bottleneck while
// an administrator's round-trip time is measured, without Lifeline or with it. In comes
// a case, out go its figures; the demo, the benchmarks and the end-to-end tests share
// it. It never touches the network of the host that it runs on.
package scenario
