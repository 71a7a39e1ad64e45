// Package flow takes whole sets of packets through the tables of both back ends, as
// netfilter would, and finds which connections get through.
//
// A Question and tables of package rules come in; a Result goes out: verdict, example,
// trace, assumptions, connections to try. A match that is modelled is exact; every other
// splits the packets in two and is named as an assumption. It reads no text, and never
// calls packets allowed that could be dropped.
package flow
