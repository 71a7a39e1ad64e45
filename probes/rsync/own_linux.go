package rsync

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"lifeline/watchdog/sockdiag"
)

// counter tells what passed through a socket of another process.
type counter interface {
	counted(p *process, s held) (passed, error)
}

// counted implements counter.
func (d *duplicator) counted(p *process, s held) (passed, error) {
	var c passed
	err := d.with(s.ref(p), s.Inode, func(sock int) error {
		info, err := sockdiag.GetTCPInfo(sock)
		c = passed{in: info.Bytes_received, out: info.Bytes_acked}
		return err
	})
	return c, err
}

// io reads from /proc/PID/io what a process has read and written so far, files included.
func (f procFS) io(pid int) (passed, error) {
	var buf [512]byte
	b, err := read(f.path(pid, "io"), buf[:])
	if err != nil {
		return passed{}, err
	}
	return parseIO(b)
}

// parseIO reads /proc/PID/io (proc(5)).
func parseIO(b []byte) (passed, error) {
	var p passed
	for name, into := range map[string]*uint64{"rchar: ": &p.in, "wchar: ": &p.out} {
		_, rest, ok := bytes.Cut(b, []byte(name))
		if !ok {
			return p, fmt.Errorf("io: no %s%w", name, errFormat)
		}
		digits, _, _ := bytes.Cut(rest, []byte("\n"))
		var err error
		if *into, err = strconv.ParseUint(string(digits), 10, 64); err != nil {
			return p, fmt.Errorf("io: %w", errFormat)
		}
	}
	return p, nil
}

// ioOf is what several processes have read and written together.
func (f procFS) ioOf(pids []int) (passed, error) {
	var all passed
	for _, pid := range pids {
		p, err := f.io(pid)
		if err != nil {
			return passed{}, err
		}
		all.in, all.out = all.in+p.in, all.out+p.out
	}
	return all, nil
}

// chosen implements world.
func (s *scanner) chosen(p *process) uint64 {
	if c := s.procs[p.ID.PID]; c != nil && c.process == p {
		return c.chosen
	}
	return 0
}

// choose implements world.
func (s *scanner) choose(p *process, inode uint64) {
	if c := s.procs[p.ID.PID]; c != nil && c.process == p {
		c.chosen, c.contest = inode, nil
	}
}

// compete implements world. Of very many connections some have their turn with each pass.
func (s *scanner) compete(p *process, family []*process, tcp []held) (uint64, bool) {
	c := s.procs[p.ID.PID]
	if c == nil || c.process != p || s.count == nil {
		return 0, false
	}
	if c.contest == nil {
		c.contest = &contest{}
	}
	x := c.contest
	x.retain(tcp)
	pids := make([]int, 0, len(family))
	for _, q := range family {
		pids = append(pids, q.ID.PID)
	}
	// However late it is looked at, no connection must seem to have moved more than
	// the process: at first that counts from before, later up to after.
	before, err := s.proc.ioOf(pids)
	counts := map[uint64]passed{}
	for range min(rivalsAtOnce, len(tcp)) {
		x.next = (x.next + 1) % len(tcp)
		if n, err := s.count.counted(p, tcp[x.next]); err == nil {
			counts[tcp[x.next].Inode] = n
		}
	}
	after, errAfter := s.proc.ioOf(pids)
	if err != nil || errAfter != nil {
		return 0, false
	}
	for inode, n := range counts {
		io := after
		if x.rivals[inode] == nil {
			io = before
		}
		x.see(inode, n, io)
	}
	return x.winner()
}

// distinct leaves of several descriptors of one socket the first.
func distinct(sockets []held) []held {
	var out []held
	for _, s := range sockets {
		if !slices.ContainsFunc(out, func(o held) bool { return o.Inode == s.Inode }) {
			out = append(out, s)
		}
	}
	return out
}
