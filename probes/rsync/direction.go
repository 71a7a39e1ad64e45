package rsync

import "lifeline/watchdog"

// directionEvidence is what shows which way the file data of a transfer goes. A daemon
// hears its role over the wire, so its command line does not tell.
type directionEvidence struct {
	Sends     *bool // by the command line, which is certain
	ReadOnly  bool  // the module cannot be written to
	WriteOnly bool  // the module cannot be read from
	Pair      bool  // a member holds one end of a socketpair
	Writes    bool  // a member has a file open for writing
	Reads     bool  // a member has a file open for reading, and none for writing
	Received  uint64
	Acked     uint64
}

// Bytes from which traffic counts as evidence: a handshake is smaller.
const (
	someBytes = 16 << 10
	manyBytes = 256 << 10
)

// inferDirection tells the direction of a transfer and whether it is certain enough to
// stop looking.
//
// A receiver makes a socketpair for its two processes before it forks
// (rsync's do_recv: generator and receiver), a sender never does. Bytes alone
// mislead: checksums of a large basis file go towards the sender, and a long
// file list goes ahead of any data.
func inferDirection(e directionEvidence) (d watchdog.Direction, sure bool) {
	lead := func(a, b uint64) bool { return a >= someBytes && a/4 >= b }
	switch {
	case e.Sends != nil:
		return direction(*e.Sends), true
	case e.ReadOnly && !e.WriteOnly:
		return watchdog.Tx, true
	case e.WriteOnly && !e.ReadOnly:
		return watchdog.Rx, true
	case e.Pair:
		return watchdog.Rx, true
	case lead(e.Acked, e.Received):
		return watchdog.Tx, true
	case e.Reads && e.Acked > e.Received && e.Acked >= 4<<10:
		return watchdog.Tx, true
	case e.Writes && e.Received > e.Acked:
		return watchdog.Rx, true
	case lead(e.Received, e.Acked):
		return watchdog.Rx, e.Received >= manyBytes
	case e.Reads:
		return watchdog.Tx, false
	}
	return watchdog.Rx, false
}

func direction(sends bool) watchdog.Direction {
	if sends {
		return watchdog.Tx
	}
	return watchdog.Rx
}
