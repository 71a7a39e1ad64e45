package rsync

import (
	"fmt"

	"lifeline/watchdog"
)

// control says how far the transfer may be touched, and why not further.
func (f *found) control() (watchdog.Controllable, string) {
	if !f.tcp {
		return watchdog.ControlNone, f.lost
	}
	client := f.via == watchdog.ViaDaemonClient || f.via == watchdog.ViaSSHClient
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
func (f *found) unlimited() string {
	if f.shared == "" && f.barred != nil {
		return fmt.Sprintf("its socket cannot be reached: %v", f.barred)
	}
	return f.shared
}

// unstoppable says why stopping would be noticed by more than the transfer.
func (f *found) unstoppable() string {
	for _, p := range f.parents {
		if changesUser(p.Exe) {
			return fmt.Sprintf("runs under %s (pid %d), which would stop itself with it", p.Exe, p.ID.PID)
		}
	}
	for _, p := range f.members {
		if p.TTY != 0 {
			return fmt.Sprintf("pid %d has a controlling terminal", p.ID.PID)
		}
	}
	return ""
}
