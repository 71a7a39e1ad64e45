package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// remarker takes a remark on what is done about the incident of a subject, if any.
type remarker interface {
	Remark(at time.Time, about watchdog.Subject, text string)
}

// transitionLog logs what a cycle changed, and only that: conditions, the phases of
// controllers, and the bursts of TCP.
type transitionLog struct {
	log     *slog.Logger
	remarks remarker // nil without alerts

	phases      map[watchdog.ShaperKey]loggedPhase
	smallBursts bool
}

// loggedPhase is what was last logged of a link's controller.
type loggedPhase struct {
	phase    control.Phase
	sounding bool
}

// condition logs that a condition was raised or cleared, or has another severity.
func (t *transitionLog) condition(c watchdog.Change) {
	word, level := "cleared", slog.LevelInfo
	switch {
	case c.Was != "":
		word = "changed"
	case c.Raised:
		word = "raised"
	}
	if c.Raised && c.Condition.Severity != watchdog.Info {
		level = slog.LevelWarn
	}
	t.log.Log(context.Background(), level, "condition "+word, "condition", c.Condition.Name,
		"subject", c.Condition.Subject, "severity", c.Condition.Severity, "evidence", c.Condition.Evidence)
}

// control logs that a link's controller has another phase than was logged last.
func (t *transitionLog) control(at time.Time, l watchdog.LinkState) {
	k := watchdog.ShaperKey{Link: l.Link, Direction: l.Direction}
	now := loggedPhase{l.Phase, l.BaseProbe}
	if t.phases[k] == now {
		return
	}
	t.phases[k] = now
	t.log.Info("control", "link", l.Name, "direction", l.Direction, "phase", l.Phase, "transfers", l.Transfers,
		"limited", l.Limited, "paused", l.Paused, "capacity", capacity(l.Capacity), "why", l.Why)
	if t.remarks != nil {
		t.remarks.Remark(at, watchdog.DirectionSubject(l.Name, l.Direction), fmt.Sprintf("%s: %s (%d transfers, %d limited, %d paused)",
			l.Phase, l.Why, l.Transfers, l.Limited, l.Paused))
	}
}

// capacity is for people: 0 is unknown.
func capacity(bytesPerSecond float64) string {
	if bytesPerSecond == 0 {
		return "unknown"
	}
	return watchdog.Mbit(bytesPerSecond)
}

// bursts logs that the kernel's bursts were made small, or are as before.
func (t *transitionLog) bursts(small bool) {
	if small == t.smallBursts {
		return
	}
	t.smallBursts = small
	t.log.Info("bursts of TCP", "small", small, "setting", "net.ipv4.tcp_tso_rtt_log")
}
