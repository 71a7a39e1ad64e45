package rsync

// pidWatch finds new processes without reading the whole of /proc: pids are
// given out in ascending order (idr_alloc_cyclic in kernel/pid.c), and
// /proc/loadavg says which was the last.
type pidWatch struct {
	proc procFS
	last int
}

// maxFresh is the number of new pids from which reading all of /proc is the
// cheaper way.
const maxFresh = 512

// since lists the processes that have appeared since the last call. all says
// that it cannot tell and everything has to be looked at.
func (w *pidWatch) since() (fresh []int, all bool) {
	var buf [256]byte
	b, err := read(w.proc.root+"/loadavg", buf[:])
	if err != nil {
		return nil, true
	}
	last, err := parseLastPID(b)
	if err != nil {
		return nil, true
	}
	before := w.last
	w.last = last
	switch {
	case last == before:
		return nil, false
	case before == 0 || last < before || last-before > maxFresh:
		return nil, true
	}
	for pid := before + 1; pid <= last; pid++ {
		if w.proc.exists(pid) {
			fresh = append(fresh, pid)
		}
	}
	return fresh, false
}
