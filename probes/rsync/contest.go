package rsync

// passed is what went through a socket or a process, in bytes, since it began.
type passed struct{ in, out uint64 }

// since is what passed after an earlier look, and false when less did than then: what
// was counted is something else.
func (p passed) since(before passed) (passed, bool) {
	if p.in < before.in || p.out < before.out {
		return passed{}, false
	}
	return passed{p.in - before.in, p.out - before.out}, true
}

// total is what passed both ways.
func (p passed) total() uint64 { return p.in + p.out }

// contest finds out which of several connections is a process's own: the one whose bytes
// move with what the process reads and writes (/proc/PID/io).
type contest struct {
	rivals map[uint64]*rival // by inode
	next   int               // whose turn it is to be looked at
}

// rival is one of the connections.
type rival struct {
	socket, proc passed // when it was first looked at
	moved, moves passed // by the connection and by the process since
}

const (
	rivalsAtOnce = 64        // looked at by one pass
	rivalBytes   = manyBytes // that must have passed before a connection is believed
	rivalSlack   = 64 << 10  // bytes that may have passed between two looks
	rivalShare   = 8         // one part in so many of what the process moved is least
	rivalLead    = 4         // times what the others' share is
)

// see takes note of a connection and of its process.
func (c *contest) see(inode uint64, socket, proc passed) {
	r := c.rivals[inode]
	if r != nil {
		var ok, same bool
		r.moved, ok = socket.since(r.socket)
		r.moves, same = proc.since(r.proc)
		if ok && same {
			return
		}
	}
	if c.rivals == nil {
		c.rivals = map[uint64]*rival{}
	}
	c.rivals[inode] = &rival{socket: socket, proc: proc}
}

// retain forgets the connections that are no more.
func (c *contest) retain(sockets []held) {
	there := map[uint64]bool{}
	for _, s := range sockets {
		there[s.Inode] = true
	}
	for inode := range c.rivals {
		if !there[inode] {
			delete(c.rivals, inode)
		}
	}
}

// explained says whether the process can have moved all that the connection did.
func (r *rival) explained() bool {
	return r.moved.in <= r.moves.in+rivalSlack && r.moved.out <= r.moves.out+rivalSlack
}

// share is how much of what the process moved went over the connection, 0 to 1.
func (r *rival) share() float64 {
	if !r.explained() || r.moves.total() == 0 {
		return 0
	}
	part := func(of, all uint64) float64 { return float64(min(of, all)) / float64(max(all, 1)) }
	return max(part(r.moved.in, r.moves.in), part(r.moved.out, r.moves.out))
}

// winner is the connection that is the process's own, when one clearly is.
func (c *contest) winner() (inode uint64, ok bool) {
	best, next := 0.0, 0.0
	for i, r := range c.rivals {
		share := r.share()
		if r.moved.total() < rivalBytes {
			share = min(share, float64(r.moved.total())/rivalBytes/rivalLead) // too little to win, and to stand in the way
		}
		if share > best {
			inode, best, next = i, share, best
		} else {
			next = max(next, share)
		}
	}
	if best < 1.0/rivalShare || next*rivalLead > best {
		return 0, false
	}
	return inode, c.rivals[inode].moved.total() >= rivalBytes
}
