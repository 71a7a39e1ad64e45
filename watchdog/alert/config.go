package alert

import (
	"errors"
	"fmt"
	"time"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/unit"
)

// Config is everything that an operator may choose about alerts. Start from
// DefaultConfig.
type Config struct {
	Host        string            `toml:"host"`       // how receivers see this host; empty: its name
	Repeat      unit.Duration     `toml:"repeat"`     // between reminders of an active incident; 0 for none
	FlapCount   int               `toml:"flap_count"` // raised so often within FlapWindow, a condition is flapping; 0 for never
	FlapWindow  unit.Duration     `toml:"flap_window"`
	FlapQuiet   unit.Duration     `toml:"flap_quiet"`  // how long a flapping condition must be gone before its incident ends
	SpoolMax    int64             `toml:"spool_max"`   // bytes that the spool may take on disk
	HistoryMax  int               `toml:"history_max"` // incidents that are remembered
	Credentials string            `toml:"-"`           // where credentials without a path are; empty: $CREDENTIALS_DIRECTORY
	Receivers   []notify.Receiver `toml:"-"`
}

// DefaultConfig is the configuration without a file: no receiver.
func DefaultConfig() Config {
	return Config{
		Repeat:     unit.Of(4 * time.Hour),
		FlapCount:  4,
		FlapWindow: unit.Of(10 * time.Minute),
		FlapQuiet:  unit.Of(5 * time.Minute),
		SpoolMax:   100_000_000,
		HistoryMax: 1000,
	}
}

// Validate checks everything that can be checked without reading a file. Its
// errors are *FieldError, joined.
func (c Config) Validate() error {
	var errs []error
	c.check(func(field, format string, args ...any) {
		errs = append(errs, &notify.FieldError{Field: field, Msg: fmt.Sprintf(format, args...)})
	})
	return errors.Join(append(errs, notify.Validate(c.Receivers)...)...)
}

func (c Config) check(bad notify.Report) {
	notify.Within(bad, "repeat", c.Repeat.Duration, time.Minute, 30*24*time.Hour, true)
	if c.FlapCount < 0 || c.FlapCount == 1 || c.FlapCount > 100 {
		bad("flap_count", "%d is out of range: 0 for never, or 2 to 100", c.FlapCount)
	}
	if c.FlapCount > 0 {
		notify.Within(bad, "flap_window", c.FlapWindow.Duration, time.Second, 24*time.Hour, false)
		notify.Within(bad, "flap_quiet", c.FlapQuiet.Duration, time.Second, 24*time.Hour, false)
	}
	if c.SpoolMax < 4<<20 || c.SpoolMax > 10<<30 {
		bad("spool_max", "%d bytes is out of range: between 4 MiB and 10 GiB", c.SpoolMax)
	}
	if c.HistoryMax < 10 || c.HistoryMax > 100_000 {
		bad("history_max", "%d is out of range: between 10 and 100000", c.HistoryMax)
	}
	if len(c.Host) > incident.MaxName || incident.Unprintable(c.Host) {
		bad("host", "at most %d printable bytes", incident.MaxName)
	}
}

// Check reads every file that the configuration names and tries every template.
// Its errors are *FieldError, joined. What cannot be tried outside the systemd
// unit, its credentials, is listed.
func (c Config) Check() (untried []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	untried, wrong := c.TryFiles(func(int) bool { return false })
	var errs []error
	for _, e := range wrong {
		errs = append(errs, e)
	}
	return untried, errors.Join(errs...)
}

// TryFiles does the same without validating, and without the receivers, by index,
// that skip names.
func (c Config) TryFiles(skip func(int) bool) (untried []string, wrong []*notify.FieldError) {
	return notify.CheckFiles(c.Receivers, c.Credentials, skip)
}
