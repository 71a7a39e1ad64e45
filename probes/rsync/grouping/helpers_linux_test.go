package grouping

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/proctest"
	"lifeline/watchdog"
)

// hostTable is the process table of a host at a moment.
func hostTable(h *proctest.Host, events bool) *proctable.Table {
	s := proctable.New(proc.FS{Root: h.Root}, h, nil)
	s.ReadIdentity, s.Events = h.Identify, events
	s.Begin(time.Unix(1000, 0))
	return s
}

// groupAll finds all transfers of the host, as a first pass does.
func groupAll(h *proctest.Host) ([]*Transfer, []*proc.Process) {
	h.T.Helper()
	s := proctable.New(proc.FS{Root: h.Root}, h, nil)
	s.ReadIdentity = h.Identify
	s.Begin(time.Unix(1000, 0))
	pids, err := s.Proc.PIDs()
	if err != nil {
		h.T.Fatal(err)
	}
	for _, pid := range pids {
		if cmdline.IsRsync(s.Proc.Exe(pid)) || s.Proc.Exe(pid) == "" {
			s.AddRsync(pid)
		}
	}
	return Group(s, s.Running())
}

// summary is a found transfer in one line, for comparison.
func summary(f *Transfer) string {
	pids := func(list []*proc.Process) string {
		var out []string
		for _, p := range list {
			out = append(out, strconv.Itoa(p.ID.PID))
		}
		return strings.Join(out, ",")
	}
	sends := "?"
	if f.Sends != nil {
		sends = map[bool]watchdog.Direction{true: watchdog.Tx, false: watchdog.Rx}[*f.Sends].String()
	}
	var refs []string
	for _, r := range f.Socket.Refs {
		refs = append(refs, fmt.Sprintf("%d:%d", r.Proc.PID, r.FD))
	}
	control, why := f.Control()
	line := fmt.Sprintf("%s %s %s [%s]", f.ID, f.Via, sends, pids(f.Members))
	if len(f.Parents) > 0 {
		line += " under " + pids(f.Parents)
	}
	if len(refs) > 0 {
		line += " by " + strings.Join(refs, ",")
	}
	if f.HasSocketPair {
		line += " pair"
	}
	line += " " + string(control)
	if why != "" {
		line += ": " + why
	}
	return line
}
