package main

import (
	"log/slog"
	"strings"

	"lifeline/probes/path"
	"lifeline/watchdog"
	"lifeline/watchdog/journal"
)

// Names of facts in the journal.
const (
	learntFact = "capacities"
	pathsFact  = "paths"
)

// memory keeps the path probe's memory in the journal.
type memory struct {
	journal  *journal.Journal
	log      *slog.Logger
	remember bool // peers of ssh sessions too
}

// Load gives what an earlier daemon knew.
func (m memory) Load() (path.Memory, error) {
	var v path.Memory
	if m.journal == nil {
		return v, nil
	}
	_, err := m.journal.Get(pathsFact, &v)
	if !m.remember {
		v.Peers = nil
	}
	return v, err
}

// Save writes it, without waiting.
func (m memory) Save(v path.Memory) {
	if m.journal == nil {
		return
	}
	if !m.remember {
		v.Peers = nil
	}
	if err := m.journal.Put(pathsFact, v); err != nil {
		m.log.Warn("base RTTs are not remembered", "error", err)
	}
}

// learnt gives the capacities of earlier runs.
func (d *daemon) learnt() map[watchdog.LearntKey]float64 {
	if d.journal == nil {
		return nil
	}
	var raw map[string]float64
	if _, err := d.journal.Get(learntFact, &raw); err != nil {
		d.log.Warn("earlier capacities are lost", "error", err)
	}
	return readLearnt(raw)
}

// writeLearnt makes keys of text: "eth0 rx".
func writeLearnt(m map[watchdog.LearntKey]float64) map[string]float64 {
	out := make(map[string]float64, len(m))
	for k, v := range m {
		out[k.Link+" "+k.Direction.String()] = v
	}
	return out
}

func readLearnt(raw map[string]float64) map[watchdog.LearntKey]float64 {
	out := make(map[watchdog.LearntKey]float64, len(raw))
	for k, v := range raw {
		link, dir, _ := strings.Cut(k, " ")
		switch {
		case v <= 0:
		case dir == watchdog.Rx.String():
			out[watchdog.LearntKey{Link: link, Direction: watchdog.Rx}] = v
		case dir == watchdog.Tx.String():
			out[watchdog.LearntKey{Link: link, Direction: watchdog.Tx}] = v
		}
	}
	return out
}
