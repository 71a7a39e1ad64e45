package engine

import (
	"maps"
	"slices"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// Engine turns Snapshots into Decisions. It keeps the memory of controllers and
// conditions and nothing else: the same Snapshots give the same Decisions.
type Engine struct {
	settings    Settings
	controllers map[watchdog.ShaperKey]*control.Controller // by physical link and direction, as the next two
	limitHolds  map[watchdog.ShaperKey]*limitHold
	delays      map[watchdog.ShaperKey]*delayPersistence
	baseProbes  map[int]*baseProbe             // by ifindex of the physical link
	learnt      map[watchdog.LearntKey]float64 // capacities in bytes/s
	pins        map[watchdog.TransferID]control.Pin
	tsoBursts   tsoBursts
	conditions  conditions
	links       map[string]*linkMemory                 // by name
	wanted      map[watchdog.TransferID]watchdog.Limit // by the last step
	flows       []control.Flow                         // of this step; kept for its room, as is found
	found       []finding
}

// New makes an engine. Learnt are capacities in bytes/s from earlier runs; nil is
// none.
func New(s Settings, learnt map[watchdog.LearntKey]float64) *Engine {
	e := &Engine{
		settings:    s,
		controllers: map[watchdog.ShaperKey]*control.Controller{},
		limitHolds:  map[watchdog.ShaperKey]*limitHold{},
		delays:      map[watchdog.ShaperKey]*delayPersistence{},
		baseProbes:  map[int]*baseProbe{},
		learnt:      map[watchdog.LearntKey]float64{},
		pins:        map[watchdog.TransferID]control.Pin{},
		conditions:  conditions{},
		links:       map[string]*linkMemory{},
	}
	maps.Copy(e.learnt, learnt)
	return e
}

// Pin sets what an operator asked for one transfer; the zero Pin takes it back.
func (e *Engine) Pin(id watchdog.TransferID, p control.Pin) {
	if p == (control.Pin{}) {
		delete(e.pins, id)
		return
	}
	e.pins[id] = p
}

// Learnt is a copy of the capacities worth remembering, in bytes/s.
func (e *Engine) Learnt() map[watchdog.LearntKey]float64 { return maps.Clone(e.learnt) }

// learningTick is the time between Snapshots until the RTTs of empty paths are known:
// a night's transfers may begin seconds after the daemon.
const learningTick = 250 * time.Millisecond

// Step decides. Outcome is what stood when the Snapshot was taken. In a dry run the
// Desired state is what would be brought about.
func (e *Engine) Step(s watchdog.Snapshot, stands watchdog.Outcome) watchdog.Decision {
	d := watchdog.Decision{
		Desired: watchdog.Desired{Limits: make(map[watchdog.TransferID]watchdog.Limit, len(s.Transfers)), Shapers: map[watchdog.ShaperKey]float64{}},
		Tick:    e.settings.IdleTick,
	}
	if slices.ContainsFunc(s.Paths, func(p watchdog.Path) bool { return p.Learning }) {
		d.Tick = min(d.Tick, learningTick)
	}
	e.dropPinsOfEnded(s.Transfers)
	in := input{&s, watchdog.NewLinkIndex(s.Links), stands}
	controlled := e.controlLinks(in, &d)
	e.wanted = d.Desired.Limits
	e.answerOtherRateRequests(s.Transfers, &d)
	d.Desired.SmallBursts = e.tsoBursts.step(&s, d.Desired, e.settings.Target)
	d.Conditions, d.Changes = e.conditions.step(&s, e.findings(in, controlled))
	return d
}

// input is what one step goes by.
type input struct {
	*watchdog.Snapshot
	links  watchdog.LinkIndex
	stands watchdog.Outcome
}

// controlLinks runs the controllers of all groups of transfers, and adds what they
// want to the decision.
func (e *Engine) controlLinks(in input, d *watchdog.Decision) []linkControl {
	groups := e.groups(in)
	e.stepBaseProbes(in, groups)
	e.flows = e.flows[:0]
	d.Rest = len(groups) > 0 && len(e.baseProbes) == 0
	controlled := make([]linkControl, 0, len(groups))
	for i := range groups {
		c := e.runController(in, &groups[i])
		c.addTo(&d.Desired)
		e.answerRateRequests(&c, d, in.stands)
		d.Links = append(d.Links, c.state())
		d.Tick = min(d.Tick, c.out.Tick)
		d.Rest = d.Rest && c.out.Rest
		controlled = append(controlled, c)
	}
	return controlled
}

// dropPinsOfEnded drops what was asked for transfers that are gone.
func (e *Engine) dropPinsOfEnded(ts []watchdog.Transfer) {
	if len(e.pins) == 0 {
		return
	}
	live := make(map[watchdog.TransferID]bool, len(ts))
	for _, t := range ts {
		live[t.ID] = true
	}
	for id := range e.pins {
		if !live[id] {
			delete(e.pins, id)
		}
	}
}
