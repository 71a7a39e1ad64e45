// Package spool keeps events until their receivers have taken them, in memory first
// and then in a bbolt file, with the incidents, silences and deliveries that are
// remembered beside them. Events come in by Record and go out by Next, in order and
// for each receiver apart, until Complete says that their way is over. It never makes
// whoever records an event wait for the disk, and never decides what is told to whom.
package spool
