package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"lifeline/probes/preboot"
	"lifeline/watchdog"
)

// rebootWatch asks what `lifeline preboot` asks, so that an unplanned reboot is
// covered too: at start, when a saved file changes, and every few minutes.
type rebootWatch struct {
	options preboot.Options
	every   time.Duration // 0: never
	log     *slog.Logger

	mu   sync.Mutex
	last watchdog.Reboot
}

const (
	rebootFirst  = 5 * time.Second  // sessions and links are known by then
	rebootSettle = 2 * time.Second  // a file is seldom written by one write
	rebootMost   = 60 * time.Second // for one check
)

// savedIn are the directories whose files the boot of the usual systems loads.
var savedIn = []string{"/etc/iptables", "/etc/sysconfig", "/etc/ssh"}

// String names the task.
func (w *rebootWatch) String() string { return "pre-reboot check" }

// Latest is the latest answer; not Known before the first.
func (w *rebootWatch) Latest() watchdog.Reboot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Run checks until ctx ends. Where files cannot be watched the interval has to
// do.
func (w *rebootWatch) Run(ctx context.Context) error {
	if w.every == 0 {
		return nil
	}
	var changes <-chan fsnotify.Event
	if fs, err := fsnotify.NewWatcher(); err != nil {
		w.log.Warn("saved rules are not watched, only checked now and then", "error", err)
	} else {
		defer fs.Close()
		for _, dir := range savedIn {
			_ = fs.Add(dir) // most hosts have one of them
		}
		changes = fs.Events
	}
	timer := time.NewTimer(rebootFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-changes:
			if filepath.Ext(e.Name) != ".swp" {
				timer.Reset(rebootSettle)
			}
		case <-timer.C:
			w.check(ctx)
			timer.Reset(w.every)
		}
	}
}

// check asks once. A check that fails is unknown, never the answer before it.
func (w *rebootWatch) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rebootMost)
	defer cancel()
	now := watchdog.Reboot{Known: true, At: time.Now()}
	r, err := preboot.Check(ctx, w.options)
	if err != nil {
		now.Verdict, now.Reason = string(preboot.Unknown), err.Error()
	} else {
		now.Verdict, now.Reason = string(r.Verdict), r.Reason
	}
	w.mu.Lock()
	changed := w.last.Verdict != now.Verdict
	w.last = now
	w.mu.Unlock()
	if changed && ctx.Err() == nil {
		w.log.Info("pre-reboot check", "verdict", now.Verdict, "reason", now.Reason)
	}
}
