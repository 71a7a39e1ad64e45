package proc

// LastPID is the pid that was given out last, by which new processes are
// noticed without reading the whole of /proc: pids are given out in ascending
// order (idr_alloc_cyclic in kernel/pid.c).
func (f FS) LastPID() (int, error) {
	var buf [256]byte
	b, err := ReadFile(f.Root+"/loadavg", buf[:])
	if err != nil {
		return 0, err
	}
	return ParseLastPID(b)
}

// maxFresh is the number of new pids from which reading all of /proc is the
// cheaper way.
const maxFresh = 512

// NewPIDs lists the processes with pids after before and up to last. all says
// that they cannot be told from old ones, and everything has to be looked at.
func (f FS) NewPIDs(before, last int) (fresh []int, all bool) {
	if before == 0 || last < before || last-before > maxFresh {
		return nil, true
	}
	for pid := before + 1; pid <= last; pid++ {
		if f.Exists(pid) {
			fresh = append(fresh, pid)
		}
	}
	return fresh, false
}
