// Package lex cuts rule files into what their tools see: the lines, words and numbers of
// iptables-restore, and the tokens of nft.
//
// Text comes in as bytes; words with their place in the file go out. It gives no word a
// meaning, and no input makes it fail.
package lex
