package engine

import (
	"slices"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// Settings are the operator's choices for the engine.
type Settings struct {
	Link         func(names ...string) LinkSettings // of the first of these links that has its own, else of all; never nil
	MaxRunning   int                                // most transfers running at once on one link and direction; 0 for no cap
	Share        control.Share
	Target       time.Duration // queueing delay to hold
	Engage       time.Duration // queueing delay to engage at
	Pause        bool          // pausing is allowed
	ForeignNetns bool          // also limit transfers of other network namespaces
	IdleTick     time.Duration // between Snapshots while no transfer runs
	DryRun       bool          // nothing of what is decided is enforced
	LimitHold    time.Duration // longest hold of limits without a sign that the link needs them; 0 for no bound
}

// LinkSettings are the operator's choices for one link.
type LinkSettings struct {
	Capacity [2]float64 // bytes/s by Direction; 0 when not configured
	Mode     [2]Mode    // by Direction
}

// Mode is how a direction of a link is enforced.
type Mode string

// The ways to enforce.
const (
	ModeAuto   Mode = "auto"   // socket options first, a shaper once the capacity is known
	ModeSocket Mode = "socket" // socket options only
	ModeShaper Mode = "shaper" // a shaper, and socket options only until it stands
	ModeOff    Mode = "off"    // never act
)

// Engine turns Snapshots into Decisions. It keeps the controllers' and the
// conditions' memory and nothing else: the same Snapshots give the same
// Decisions.
type Engine struct {
	settings    Settings
	controllers map[watchdog.ShaperKey]*control.Controller
	learnt      map[watchdog.LearntKey]float64
	pins        map[watchdog.TransferID]control.Pin
	conditions  conditions
	tenures     map[watchdog.ShaperKey]*tenure
	soundings   map[int]*sounding // by ifindex of the physical link
	strains     map[watchdog.ShaperKey]*strain
	bursts      bursts
	links       map[string]*linkMemory                 // by name
	wanted      map[watchdog.TransferID]watchdog.Limit // by the last step
	flows       []control.Flow                         // of this step; kept for its room, as is found
	found       []finding
}

// learnTick is the time between Snapshots until the RTTs of empty paths are known:
// a night's transfers may begin seconds after the daemon.
const learnTick = 250 * time.Millisecond

// New makes an engine. Learnt are capacities in bytes/s from earlier
// runs; nil is none.
func New(s Settings, learnt map[watchdog.LearntKey]float64) *Engine {
	e := &Engine{
		settings:    s,
		controllers: map[watchdog.ShaperKey]*control.Controller{},
		learnt:      map[watchdog.LearntKey]float64{},
		pins:        map[watchdog.TransferID]control.Pin{},
		conditions:  conditions{},
		tenures:     map[watchdog.ShaperKey]*tenure{},
		soundings:   map[int]*sounding{},
		strains:     map[watchdog.ShaperKey]*strain{},
		links:       map[string]*linkMemory{},
	}
	for k, v := range learnt {
		e.learnt[k] = v
	}
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

// Learnt gives the capacities worth remembering, bytes/s.
func (e *Engine) Learnt() map[watchdog.LearntKey]float64 { return e.learnt }

// Step decides. Outcome is what stood when the Snapshot was taken. In a dry run the
// Desired state is what would be brought about.
func (e *Engine) Step(s watchdog.Snapshot, stands watchdog.Outcome) watchdog.Decision {
	d := watchdog.Decision{
		Desired: watchdog.Desired{Limits: make(map[watchdog.TransferID]watchdog.Limit, len(s.Transfers)), Shapers: map[watchdog.ShaperKey]float64{}},
		Tick:    e.settings.IdleTick,
	}
	if slices.ContainsFunc(s.Paths, func(p watchdog.Path) bool { return p.Learning }) {
		d.Tick = min(d.Tick, learnTick)
	}
	e.forgetPins(s.Transfers)
	links := watchdog.NewLinkIndex(s.Links)
	outs := e.groups(&s, links)
	e.sound(&s, outs, links, stands)
	d.Rest = len(outs) > 0 && len(e.soundings) == 0
	e.flows = e.flows[:0]
	for i := range outs {
		j := &outs[i]
		e.judge(&s, j, links, stands)
		e.strained(&s, j, stands)
		j.want(&d.Desired)
		e.grant(j, &d, stands)
		d.Links = append(d.Links, j.state())
		d.Tick = min(d.Tick, j.out.Tick)
		d.Rest = d.Rest && j.out.Rest
	}
	e.wanted = d.Desired.Limits
	e.ungranted(s.Transfers, &d)
	d.Desired.SmallBursts = e.bursts.step(&s, d.Desired, e.settings.Target)
	d.Conditions, d.Changes = e.conditions.step(&s, e.findings(&s, outs, stands))
	return d
}

// forgetPins drops the wishes for transfers that are gone.
func (e *Engine) forgetPins(ts []watchdog.Transfer) {
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
