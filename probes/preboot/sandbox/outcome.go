package sandbox

// Outcome is what became of one rehearsed connection.
type Outcome string

const (
	// Established: the handshake, the banner, 4 kB each way, and one more
	// exchange after the neighbour tables were flushed.
	Established Outcome = "established"
	// TimedOut: no answer to the SYN.
	TimedOut Outcome = "timeout"
	// Refused: a reset or an ICMP port unreachable answered the SYN.
	Refused Outcome = "refused"
	// Unreachable: another ICMP error answered the SYN.
	Unreachable Outcome = "unreachable"
	// Reset: the connection was reset after the handshake.
	Reset Outcome = "reset"
	// NoBanner: the handshake passed, the server's first data did not.
	NoBanner Outcome = "no-banner"
	// Stalled: the banner passed, 4 kB each way did not.
	Stalled Outcome = "stalled"
	// NeighbourLost: the connection worked until the neighbour tables were
	// flushed; address resolution does not pass the rules.
	NeighbourLost Outcome = "neighbour-lost"
	// NotTried: the connection could not be set up on our side.
	NotTried Outcome = "not-tried"
)
