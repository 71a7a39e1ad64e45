// Package rules reads a saved rules file as iptables-restore of one back end does, and
// ipset files beside it.
//
// Bytes come in with what is loaded before them; a Ruleset goes out: the tables with
// their chains and rules as data, and whether the tool would load the file. It sends no
// packet through the rules, opens no file, and never panics whatever the bytes are.
package rules
