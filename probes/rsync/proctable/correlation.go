package proctable

import (
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
)

// correlation finds out which of several connections is a process's own: the one whose bytes
// move with what the process reads and writes (/proc/PID/io).
type correlation struct {
	candidates map[uint64]*candidate // by inode
	next       int                   // whose turn it is to be looked at
}

// candidate is one of the connections.
type candidate struct {
	socket, proc proc.IO // when it was first looked at
	moved, moves proc.IO // by the connection and by the process since
}

const (
	observedPerPass = 64        // looked at by one pass
	leastBytes      = 256 << 10 // that must have passed before a connection is believed
	slackBytes      = 64 << 10  // bytes that may have passed between two looks
	leastShare      = 8         // one part in so many of what the process moved is least
	leadFactor      = 4         // times what the others' share is
)

// observe takes note of a connection and of its process.
func (c *correlation) observe(inode uint64, socket, proc proc.IO) {
	r := c.candidates[inode]
	if r != nil {
		var ok, same bool
		r.moved, ok = socket.Since(r.socket)
		r.moves, same = proc.Since(r.proc)
		if ok && same {
			return
		}
	}
	if c.candidates == nil {
		c.candidates = map[uint64]*candidate{}
	}
	c.candidates[inode] = &candidate{socket: socket, proc: proc}
}

// retain forgets the connections that are no more.
func (c *correlation) retain(sockets []sockets.Held) {
	there := map[uint64]bool{}
	for _, s := range sockets {
		there[s.Inode] = true
	}
	for inode := range c.candidates {
		if !there[inode] {
			delete(c.candidates, inode)
		}
	}
}

// explained says whether the process can have moved all that the connection did.
func (r *candidate) explained() bool {
	return r.moved.In <= r.moves.In+slackBytes && r.moved.Out <= r.moves.Out+slackBytes
}

// share is how much of what the process moved went over the connection, 0 to 1.
func (r *candidate) share() float64 {
	if !r.explained() || r.moves.Total() == 0 {
		return 0
	}
	part := func(of, all uint64) float64 { return float64(min(of, all)) / float64(max(all, 1)) }
	return max(part(r.moved.In, r.moves.In), part(r.moved.Out, r.moves.Out))
}

// best is the connection that is the process's own, when one clearly is.
func (c *correlation) best() (inode uint64, ok bool) {
	best, next := 0.0, 0.0
	for i, r := range c.candidates {
		share := r.share()
		if r.moved.Total() < leastBytes {
			share = min(share, float64(r.moved.Total())/leastBytes/leadFactor) // too little to win, and to stand in the way
		}
		if share > best {
			inode, best, next = i, share, best
		} else {
			next = max(next, share)
		}
	}
	if best < 1.0/leastShare || next*leadFactor > best {
		return 0, false
	}
	return inode, c.candidates[inode].moved.Total() >= leastBytes
}
