package configs

import (
	"errors"
	"fmt"
	"time"

	"lifeline/watchdog/alert"
	"lifeline/watchdog/alert/notify"
)

// Alerts is the table [alerts].
type Alerts struct {
	Host       string   `toml:"host"`
	Repeat     Duration `toml:"repeat"`
	FlapCount  int      `toml:"flap_count"`
	FlapWindow Duration `toml:"flap_window"`
	FlapQuiet  Duration `toml:"flap_quiet"`
	SpoolMax   int64    `toml:"spool_max"`
	HistoryMax int      `toml:"history_max"`
}

// Receiver is one table [[receiver]]. What is left out has the default of its
// type, see notify.DefaultReceiver.
type Receiver struct {
	Name           string            `toml:"name"`
	Type           string            `toml:"type"`
	URL            string            `toml:"url"`
	URLFile        string            `toml:"url_file"`
	MinSeverity    string            `toml:"min_severity"`
	Resolved       *bool             `toml:"resolved"`
	Heartbeat      *Duration         `toml:"heartbeat"`
	Timeout        *Duration         `toml:"timeout"`
	RetryMin       *Duration         `toml:"retry_min"`
	RetryMax       *Duration         `toml:"retry_max"`
	Headers        map[string]string `toml:"headers"`
	HeaderFiles    map[string]string `toml:"header_files"`
	BasicUser      string            `toml:"basic_user"`
	BasicPassFile  string            `toml:"basic_pass_file"`
	BearerFile     string            `toml:"bearer_file"`
	SigningFiles   []string          `toml:"signing_files"`
	CAFile         string            `toml:"ca_file"`
	CertFile       string            `toml:"cert_file"`
	KeyFile        string            `toml:"key_file"`
	ServerName     string            `toml:"server_name"`
	SkipVerify     bool              `toml:"skip_verify"`
	Proxy          string            `toml:"proxy"`
	SourceAddress  string            `toml:"source_address"`
	Link           string            `toml:"link"`
	RoutingKeyFile string            `toml:"routing_key_file"`
	Method         string            `toml:"method"`
	ContentType    string            `toml:"content_type"`
	TemplateFile   string            `toml:"template_file"`
	Labels         map[string]string `toml:"labels"`
	GroupWait      *Duration         `toml:"group_wait"`
	GroupInterval  *Duration         `toml:"group_interval"`
	Resend         *Duration         `toml:"resend"`
}

func defaultAlerts() Alerts {
	d := alert.DefaultConfig()
	return Alerts{
		Repeat: Duration{d.Repeat}, FlapCount: d.FlapCount, FlapWindow: Duration{d.FlapWindow},
		FlapQuiet: Duration{d.FlapQuiet}, SpoolMax: d.SpoolMax, HistoryMax: d.HistoryMax,
	}
}

// AlertConfig gives the settings of package alert.
func (c Config) AlertConfig() alert.Config {
	a := c.Alerts
	out := alert.Config{
		Host: a.Host, Repeat: a.Repeat.Duration, FlapCount: a.FlapCount, FlapWindow: a.FlapWindow.Duration,
		FlapQuiet: a.FlapQuiet.Duration, SpoolMax: a.SpoolMax, HistoryMax: a.HistoryMax,
	}
	for _, r := range c.Receivers {
		out.Receivers = append(out.Receivers, r.alert())
	}
	return out
}

// alert lays what is set over the defaults of the type.
func (r Receiver) alert() notify.Receiver {
	a := notify.DefaultReceiver(r.Type)
	if r.Resolved != nil {
		a.Resolved = *r.Resolved
	}
	for _, s := range []struct {
		to *string
		v  string
	}{
		{&a.Name, r.Name}, {&a.URL, r.URL}, {&a.URLFile, r.URLFile}, {&a.MinSeverity, r.MinSeverity},
		{&a.BasicUser, r.BasicUser}, {&a.BasicPassFile, r.BasicPassFile}, {&a.BearerFile, r.BearerFile},
		{&a.CAFile, r.CAFile}, {&a.CertFile, r.CertFile}, {&a.KeyFile, r.KeyFile}, {&a.ServerName, r.ServerName},
		{&a.Proxy, r.Proxy}, {&a.SourceAddress, r.SourceAddress}, {&a.Link, r.Link},
		{&a.RoutingKeyFile, r.RoutingKeyFile}, {&a.Method, r.Method}, {&a.ContentType, r.ContentType},
		{&a.TemplateFile, r.TemplateFile},
	} {
		if s.v != "" {
			*s.to = s.v
		}
	}
	for _, s := range []struct {
		to *time.Duration
		v  *Duration
	}{
		{&a.Heartbeat, r.Heartbeat}, {&a.Timeout, r.Timeout}, {&a.RetryMin, r.RetryMin}, {&a.RetryMax, r.RetryMax},
		{&a.GroupWait, r.GroupWait}, {&a.GroupInterval, r.GroupInterval}, {&a.Resend, r.Resend},
	} {
		if s.v != nil {
			*s.to = s.v.Duration
		}
	}
	a.Headers, a.HeaderFiles, a.Labels = r.Headers, r.HeaderFiles, r.Labels
	a.SigningFiles, a.SkipVerify = r.SigningFiles, r.SkipVerify
	return a
}

// checkAlerts passes on what package alert finds wrong.
func (c *Config) checkAlerts(bad report) {
	err := c.AlertConfig().Validate()
	if err == nil {
		return
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, e := range errs {
		var f *notify.FieldError
		switch {
		case !errors.As(e, &f):
			bad("receiver", "%v", e)
		case f.Receiver == "":
			bad("alerts."+f.Field, "%s", f.Msg)
		case f.With != "":
			table := fmt.Sprintf("receiver[%d].", f.Index)
			bad(both(table+f.Field, table+f.With), "receiver %q: %s", f.Receiver, f.Msg)
		default:
			bad(fmt.Sprintf("receiver[%d].%s", f.Index, f.Field), "receiver %q: %s", f.Receiver, f.Msg)
		}
	}
}
