package daemon

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"lifeline/probes/path"
	"lifeline/watchdog"
	"lifeline/watchdog/facts"
)

// Names of facts in the journal.
const (
	capacitiesFact = "capacities"
	pathsFact      = "paths"
)

// pathMemory keeps what the path probe learnt among the facts.
type pathMemory struct {
	facts    *facts.Store
	log      *slog.Logger
	remember bool // peers of ssh sessions too
}

// Load gives what an earlier daemon knew.
func (m pathMemory) Load() (path.Memory, error) {
	var v path.Memory
	_, err := m.facts.Get(pathsFact, &v)
	if errors.Is(err, facts.ErrNotOpen) {
		return v, nil // told already, and joined with it later
	}
	if !m.remember {
		v.Peers = nil
	}
	return v, err
}

// Save writes it, without waiting.
func (m pathMemory) Save(v path.Memory) {
	if !m.remember {
		v.Peers = nil
	}
	if err := m.facts.Put(pathsFact, v); err != nil {
		m.log.Warn("base RTTs are not remembered", "error", err)
	}
}

// learnt gives the capacities of earlier runs.
func (d *daemon) learnt() map[watchdog.LearntKey]float64 {
	var raw map[string]float64
	if _, err := d.facts.Get(capacitiesFact, &raw); err != nil && !errors.Is(err, facts.ErrNotOpen) {
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

// joinFacts joins what an earlier run knew with what this one does, where the
// journal was opened only when this one had begun to learn. What cannot be read
// is as good as not there.
func joinFacts(name string, before, now json.RawMessage) json.RawMessage {
	join := joinCapacities
	if name == pathsFact {
		join = joinPaths
	}
	v, err := join(before, now)
	if err != nil {
		return now
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return now
	}
	return raw
}

func joinCapacities(before, now json.RawMessage) (any, error) {
	var old, v map[string]float64
	err := errors.Join(json.Unmarshal(before, &old), json.Unmarshal(now, &v))
	if err != nil || old == nil {
		return v, err
	}
	maps.Copy(old, v)
	return old, nil
}

func joinPaths(before, now json.RawMessage) (any, error) {
	var old, v path.Memory
	err := errors.Join(json.Unmarshal(before, &old), json.Unmarshal(now, &v))
	for _, b := range old.Bases {
		if !slices.ContainsFunc(v.Bases, func(x path.BaseMemory) bool { return x.Target == b.Target && x.Way == b.Way }) {
			v.Bases = append(v.Bases, b)
		}
	}
	for _, p := range old.Peers {
		if !slices.ContainsFunc(v.Peers, func(x path.Peer) bool { return x.Addr == p.Addr }) {
			v.Peers = append(v.Peers, p)
		}
	}
	return v, err
}
