// Package arptables reads a file of arptables-save, as far as to say whether it could
// drop the address resolution of a link.
//
// Bytes and the name of a link come in; "drops all", "may drop some" or "drops nothing"
// goes out, with the line. It models no match beside the link: a rule with any other
// counts as one that may drop.
package arptables
