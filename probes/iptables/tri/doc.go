// Package tri is Kleene's three-valued logic: what is asked of a packet is so, is not so,
// or depends on something that is not known.
//
// Truth values come in and go out. It never makes a guess of Maybe.
package tri
