package configs

import (
	_ "embed"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"lifeline/remediate"
	"lifeline/remediate/guard"
	"lifeline/remediate/shaper"
	"lifeline/watchdog"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/control"
	"lifeline/watchdog/engine"
	"lifeline/watchdog/unit"
)

// Example is the documented configuration file; it holds every key with its
// default.
//
//go:embed example.toml
var Example []byte

// DefaultFile is read when it exists and no other is named.
const DefaultFile = "/etc/lifeline/lifeline.toml"

// Config is a whole configuration file.
type Config struct {
	StateDir     string            `toml:"state_dir"`
	RunDir       string            `toml:"run_dir"`
	Socket       string            `toml:"socket"`
	SocketGroup  string            `toml:"socket_group"`
	ForeignNetns bool              `toml:"foreign_netns"`
	Log          Log               `toml:"log"`
	Control      Control           `toml:"control"`
	Path         Path              `toml:"path"`
	Guard        Guard             `toml:"guard"`
	Budget       Budget            `toml:"budget"`
	Link         map[string]Link   `toml:"link"`
	Preboot      Preboot           `toml:"preboot"`
	Web          Web               `toml:"web"`
	Alerts       alert.Config      `toml:"alerts"`
	Receivers    []notify.Receiver `toml:"receiver"`
}

// Log is the table [log].
type Log struct {
	Level  slog.Level `toml:"level"`
	Format string     `toml:"format"`
}

// Control is the table [control].
type Control struct {
	TargetDelay unit.Duration `toml:"target_delay"`
	EngageDelay unit.Duration `toml:"engage_delay"`
	MaxRunning  int           `toml:"max_running"`
	Share       control.Share `toml:"share"`
	Pause       bool          `toml:"pause"`
}

// Path is the table [path].
type Path struct {
	Targets  []netip.Addr `toml:"targets"`
	Remember bool         `toml:"remember"`
}

// Guard is the table [guard].
type Guard struct {
	Lease unit.Duration `toml:"lease"`
}

// Budget is the table [budget]: the bounds of each remedy.
type Budget struct {
	Pauses    int           `toml:"pauses"`
	PauseHold unit.Duration `toml:"pause_hold"`
	Shapers   int           `toml:"shapers"`
	LimitHold unit.Duration `toml:"limit_hold"`
}

// Preboot is the table [preboot].
type Preboot struct {
	Every unit.Duration `toml:"every"`
}

// Web is the table [web].
type Web struct {
	Listen string   `toml:"listen"` // empty: no page
	Hosts  []string `toml:"hosts"`  // names by which it may be asked, without a port
}

// Link is one table [link.NAME].
type Link struct {
	CapacityRx Rate        `toml:"capacity_rx"`
	CapacityTx Rate        `toml:"capacity_tx"`
	Ingress    engine.Mode `toml:"ingress"`
	Egress     engine.Mode `toml:"egress"`
}

// Default is the configuration without a file.
func Default() Config {
	return Config{
		StateDir: "/var/lib/lifeline",
		RunDir:   "/run/lifeline",
		Log:      Log{Level: slog.LevelInfo, Format: "text"},
		Control: Control{
			TargetDelay: unit.Of(control.DefaultTarget),
			EngageDelay: unit.Of(control.DefaultEngage),
			Share:       control.ShareEqual,
			Pause:       true,
		},
		Path:  Path{Targets: []netip.Addr{}, Remember: true},
		Guard: Guard{Lease: unit.Of(guard.DefaultLease)},
		Budget: Budget{
			Pauses: remediate.DefaultBudget.PausesPerHour, PauseHold: unit.Of(remediate.DefaultBudget.MaxHold),
			Shapers: shaper.DefaultPerHour, LimitHold: unit.Of(10 * time.Minute),
		},
		Link: map[string]Link{"default": defaultLink},

		Preboot: Preboot{Every: unit.Of(5 * time.Minute)},
		Web:     Web{Listen: "127.0.0.1:9731", Hosts: []string{}},
		Alerts:  alert.DefaultConfig(),
	}
}

var defaultLink = Link{Ingress: engine.ModeAuto, Egress: engine.ModeAuto}

// SocketPath is where the control socket stands.
func (c Config) SocketPath() string {
	if c.Socket != "" {
		return c.Socket
	}
	return filepath.Join(c.RunDir, "control.sock")
}

// Engine gives the settings of the decision engine.
func (c Config) Engine() engine.Settings {
	return engine.Settings{
		Link:         c.linkSettings,
		MaxRunning:   c.Control.MaxRunning,
		Share:        c.Control.Share,
		Target:       c.Control.TargetDelay.Duration,
		Engage:       c.Control.EngageDelay.Duration,
		Pause:        c.Control.Pause,
		ForeignNetns: c.ForeignNetns,
		IdleTick:     time.Second,
		LimitHold:    c.Budget.LimitHold.Duration,
	}
}

// linkSettings are those of the first named link that has a table of its own.
func (c Config) linkSettings(names ...string) engine.LinkSettings {
	l := c.Link["default"]
	for _, name := range names {
		if own, ok := c.Link[name]; ok {
			l = own
			break
		}
	}
	return engine.LinkSettings{
		Capacity: [2]float64{watchdog.Rx: l.CapacityRx.BytesPerSecond, watchdog.Tx: l.CapacityTx.BytesPerSecond},
		Mode:     [2]engine.Mode{watchdog.Rx: l.Ingress, watchdog.Tx: l.Egress},
	}
}
