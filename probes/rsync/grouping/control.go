package grouping

import (
	"fmt"

	"lifeline/probes/rsync/cmdline"
	"lifeline/watchdog"
)

// Control says how far the transfer may be touched, and why not further.
func (f *Transfer) Control() (watchdog.Controllable, string) {
	if !f.Connected {
		return watchdog.ControlNone, f.noSocket
	}
	client := f.Via == watchdog.ViaDaemonClient || f.Via == watchdog.ViaSSHClient
	unlimited, unstoppable := f.unlimited(), f.unstoppable()
	if client {
		unstoppable = "the client end is never stopped"
	}
	switch {
	case unlimited != "" && unstoppable != "":
		return watchdog.ControlNone, unlimited + "; " + unstoppable
	case unlimited != "":
		return watchdog.ControlPauseOnly, unlimited
	case unstoppable != "":
		return watchdog.ControlLimitOnly, unstoppable
	}
	return watchdog.ControlFull, ""
}

// unlimited says why the connection may not be limited.
func (f *Transfer) unlimited() string {
	if f.shared == "" && f.outOfReach != nil {
		return fmt.Sprintf("its socket cannot be reached: %v", f.outOfReach)
	}
	return f.shared
}

// unstoppable says why stopping would be noticed by more than the transfer.
func (f *Transfer) unstoppable() string {
	for _, p := range f.Parents {
		if cmdline.ChangesUser(p.Exe) {
			return fmt.Sprintf("runs under %s (pid %d), which would stop itself with it", p.Exe, p.ID.PID)
		}
	}
	for _, p := range f.Members {
		if p.TTY != 0 {
			return fmt.Sprintf("pid %d has a controlling terminal", p.ID.PID)
		}
	}
	return ""
}
