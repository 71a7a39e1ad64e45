package watchdog

// Limit is what is wanted for one transfer. The zero value is freedom.
type Limit struct {
	Window int64   `json:"window,omitempty"` // bytes of receive window; 0 for none
	Pacing float64 `json:"pacing,omitempty"` // bytes/s; 0 for none
	Shape  bool    `json:"shape,omitempty"`  // belongs in the class of its link's shaper
	Rate   float64 `json:"rate,omitempty"`   // bytes/s that an incoming transfer is held at by a class of its own; 0 for none
	Pause  bool    `json:"pause,omitempty"`  // should not run, apart from keepalive pulses
}

// ShaperKey names a shaper: one per link and direction.
type ShaperKey struct {
	Link      int // ifindex
	Direction Direction
}

// Desired is the whole state that remediation brings about. Transfers and
// links that are not named are free. Applying it twice is applying it once.
type Desired struct {
	Limits  map[TransferID]Limit
	Shapers map[ShaperKey]float64 // bytes/s for all transfers of that link and direction
	// SmallBursts asks that TCP hands down no more at once the shorter a path is.
	SmallBursts bool
}
