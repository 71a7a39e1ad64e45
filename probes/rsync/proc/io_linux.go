package proc

import (
	"bytes"
	"fmt"
	"strconv"
)

// IO is what went through a socket or a process, in bytes, since it began.
type IO struct{ In, Out uint64 }

// Since is what passed after an earlier look, and false when less did than then: what
// was counted is something else.
func (p IO) Since(before IO) (IO, bool) {
	if p.In < before.In || p.Out < before.Out {
		return IO{}, false
	}
	return IO{p.In - before.In, p.Out - before.Out}, true
}

// Total is what passed both ways.
func (p IO) Total() uint64 { return p.In + p.Out }

// IO reads from /proc/PID/io what a process has read and written so far, files included.
func (f FS) IO(pid int) (IO, error) {
	var buf [512]byte
	b, err := ReadFile(f.Path(pid, "io"), buf[:])
	if err != nil {
		return IO{}, err
	}
	return parseIO(b)
}

// parseIO reads /proc/PID/io (proc(5)).
func parseIO(b []byte) (IO, error) {
	var p IO
	for _, f := range []struct {
		name string
		into *uint64
	}{{"rchar", &p.In}, {"wchar", &p.Out}} {
		_, rest, ok := bytes.Cut(b, []byte(f.name+": "))
		if !ok {
			return IO{}, fmt.Errorf("io: no %s: %w", f.name, ErrFormat)
		}
		digits, _, _ := bytes.Cut(rest, []byte("\n"))
		var err error
		if *f.into, err = strconv.ParseUint(string(digits), 10, 64); err != nil {
			return IO{}, fmt.Errorf("io: %s %q: %w", f.name, digits, ErrFormat)
		}
	}
	return p, nil
}

// TotalIO is what several processes have read and written together.
func (f FS) TotalIO(pids []int) (IO, error) {
	var all IO
	for _, pid := range pids {
		p, err := f.IO(pid)
		if err != nil {
			return IO{}, err
		}
		all.In, all.Out = all.In+p.In, all.Out+p.Out
	}
	return all, nil
}
