package alert

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/unit"
)

// valid is a receiver without a mistake.
func valid(typ string) notify.Receiver {
	r := notify.DefaultReceiver(typ)
	r.Name = "r"
	if r.URL == "" {
		r.URL = "https://receiver.example/hook"
	}
	switch typ {
	case notify.TypePagerDuty:
		r.RoutingKeyFile = "routing-key"
	case notify.TypeTemplate:
		r.TemplateFile = "/etc/lifeline/alert.tmpl"
	}
	return r
}

func TestDefaultsAreValid(t *testing.T) {
	for _, typ := range notify.Types {
		c := DefaultConfig()
		c.Receivers = []notify.Receiver{valid(typ)}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	const typ = notify.TypeJSON
	for _, c := range []struct {
		field  string
		typ    string
		change func(*Config, *notify.Receiver)
	}{
		{"repeat", typ, func(c *Config, _ *notify.Receiver) { c.Repeat = unit.Of(time.Second) }},
		{"flap_count", typ, func(c *Config, _ *notify.Receiver) { c.FlapCount = 1 }},
		{"flap_window", typ, func(c *Config, _ *notify.Receiver) { c.FlapWindow = unit.Of(0) }},
		{"flap_quiet", typ, func(c *Config, _ *notify.Receiver) { c.FlapQuiet = unit.Of(48 * time.Hour) }},
		{"spool_max", typ, func(c *Config, _ *notify.Receiver) { c.SpoolMax = 1000 }},
		{"history_max", typ, func(c *Config, _ *notify.Receiver) { c.HistoryMax = 0 }},
		{"host", typ, func(c *Config, _ *notify.Receiver) { c.Host = "a\nb" }},
		{"name", typ, func(_ *Config, r *notify.Receiver) { r.Name = "" }},
		{"name", typ, func(_ *Config, r *notify.Receiver) { r.Name = "A b" }},
		{"type", typ, func(_ *Config, r *notify.Receiver) { r.Type = "email" }},
		{"url", typ, func(_ *Config, r *notify.Receiver) { r.URL = "" }},
		{"url", typ, func(_ *Config, r *notify.Receiver) { r.URL = "ftp://x/S3CR3T" }},
		{"url", typ, func(_ *Config, r *notify.Receiver) { r.URL = "https://user:S3CR3T@x/" }},
		{"url", typ, func(_ *Config, r *notify.Receiver) { r.URL = "https://x/%zzS3CR3T" }},
		{"url_file", typ, func(_ *Config, r *notify.Receiver) { r.URLFile = "/etc/url" }},
		{"url_file", typ, func(_ *Config, r *notify.Receiver) { r.URL, r.URLFile = "", "some/where" }},
		{"min_severity", typ, func(_ *Config, r *notify.Receiver) { r.MinSeverity = "error" }},
		{"heartbeat", notify.TypeSlack, func(_ *Config, r *notify.Receiver) { r.Heartbeat = unit.Of(time.Minute) }},
		{"heartbeat", notify.TypePing, func(_ *Config, r *notify.Receiver) { r.Heartbeat = unit.Of(0) }},
		{"timeout", typ, func(_ *Config, r *notify.Receiver) { r.Timeout = unit.Of(0) }},
		{"retry_min", typ, func(_ *Config, r *notify.Receiver) { r.RetryMin = unit.Of(0) }},
		{"retry_max", typ, func(_ *Config, r *notify.Receiver) { r.RetryMax = unit.Of(time.Millisecond) }},
		{"headers", typ, func(_ *Config, r *notify.Receiver) { r.Headers = map[string]string{"X": "a\r\nY: S3CR3T"} }},
		{"headers", typ, func(_ *Config, r *notify.Receiver) { r.Headers = map[string]string{"X Y": "a"} }},
		{"header_files", typ, func(_ *Config, r *notify.Receiver) { r.HeaderFiles = map[string]string{"X": "../x"} }},
		{"basic_user", typ, func(_ *Config, r *notify.Receiver) { r.BasicUser = "u" }},
		{"bearer_file", typ, func(_ *Config, r *notify.Receiver) { r.BasicUser, r.BasicPassFile, r.BearerFile = "u", "p", "b" }},
		{"signing_files", typ, func(_ *Config, r *notify.Receiver) { r.SigningFiles = []string{""} }},
		{"cert_file", typ, func(_ *Config, r *notify.Receiver) { r.CertFile = "/c" }},
		{"ca_file", typ, func(_ *Config, r *notify.Receiver) { r.CAFile = "x/y" }},
		{"proxy", typ, func(_ *Config, r *notify.Receiver) { r.Proxy = "ftp://S3CR3T" }},
		{"source_address", typ, func(_ *Config, r *notify.Receiver) { r.SourceAddress = "0.0.0.0" }},
		{"link", typ, func(_ *Config, r *notify.Receiver) { r.Link = "a/b" }},
		{"method", typ, func(_ *Config, r *notify.Receiver) { r.Method = "GET" }},
		{"labels", notify.TypeAlertmanager, func(_ *Config, r *notify.Receiver) { r.Labels = map[string]string{"0x": "y"} }},
		{"group_interval", notify.TypeAlertmanager, func(_ *Config, r *notify.Receiver) { r.GroupInterval = unit.Of(0) }},
		{"resend", notify.TypeAlertmanager, func(_ *Config, r *notify.Receiver) { r.Resend = unit.Of(0) }},
		{"routing_key_file", notify.TypePagerDuty, func(_ *Config, r *notify.Receiver) { r.RoutingKeyFile = "" }},
		{"template_file", notify.TypeTemplate, func(_ *Config, r *notify.Receiver) { r.TemplateFile = "" }},
		{"content_type", notify.TypeTemplate, func(_ *Config, r *notify.Receiver) { r.ContentType = "" }},
	} {
		cfg, r := DefaultConfig(), valid(c.typ)
		c.change(&cfg, &r)
		cfg.Receivers = []notify.Receiver{r}
		fields := fieldsOf(cfg.Validate())
		if !slices.Equal(fields, []string{c.field}) {
			t.Errorf("%s: complaints about %v", c.field, fields)
		}
		if err := cfg.Validate(); err != nil && strings.Contains(err.Error(), "S3CR3T") {
			t.Errorf("%s: the error shows a secret: %v", c.field, err)
		}
		if _, err := Open(t.TempDir(), cfg, alerttest.Silent()); err == nil {
			t.Errorf("%s: opened", c.field)
		}
	}
}

// fieldsOf lists the fields that an error names.
func fieldsOf(err error) (out []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		var f *notify.FieldError
		if errors.As(e, &f) {
			out = append(out, f.Field)
		}
	}
	return out
}

func TestTwoOfOneName(t *testing.T) {
	c := DefaultConfig()
	c.Receivers = []notify.Receiver{valid(notify.TypeJSON), valid(notify.TypeSlack)}
	if err := c.Validate(); err == nil || err.Error() != `receiver "r": name: two receivers have this name: choose another` {
		t.Error(err)
	}
}

func TestCheckReadsFiles(t *testing.T) {
	c := DefaultConfig()
	r := valid(notify.TypeTemplate)
	r.TemplateFile = alerttest.File(t, "t", "{{.Nothing}}")
	r.BearerFile = "/nonexistent"
	r.SigningFiles = []string{alerttest.File(t, "k", "not base64!")}
	c.Receivers = []notify.Receiver{r}
	_, err := c.Check()
	if fields := fieldsOf(err); !slices.Equal(fields, []string{"bearer_file", "signing_files", "template_file"}) {
		t.Errorf("%v: %v", fields, err)
	}
	if _, err := Open(t.TempDir(), c, alerttest.Silent()); !slices.Equal(fieldsOf(errors.Unwrap(err)), []string{"template_file"}) {
		t.Errorf("opened with a template that cannot work: %v", err)
	}
	r = valid(notify.TypeJSON)
	r.SigningFiles = []string{alerttest.File(t, "k", alerttest.NewKey)}
	c.Receivers = []notify.Receiver{r}
	r.BearerFile = "credential"
	c.Receivers[0].BearerFile = r.BearerFile
	if untried, err := c.Check(); err != nil || len(untried) != 1 {
		t.Errorf("%v, %v", untried, err)
	}
	if a, err := Open(t.TempDir(), c, alerttest.Silent()); err != nil {
		t.Errorf("a credential that is missing keeps everything from starting: %v", err)
	} else if err := a.spool.Close(); err != nil {
		t.Error(err)
	}
}

// Without a receiver there is a history and nothing else.
func TestNoReceiver(t *testing.T) {
	a := start(t, t.TempDir())
	a.pair(alerttest.Saturated)
	alerttest.Eventually(t, "the incident in the history", func() bool { h, err := a.History(5); return err == nil && len(h) == 1 && !h[0].Ended.IsZero() })
	if st := a.Status(); len(st.Receivers) != 0 || len(a.workers) != 0 {
		t.Errorf("%+v", st)
	}
}
