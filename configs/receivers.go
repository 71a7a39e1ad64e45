package configs

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"lifeline/watchdog/alert"
	"lifeline/watchdog/alert/notify"
)

// AlertConfig gives the settings of package alert.
func (c Config) AlertConfig() alert.Config {
	a := c.Alerts
	a.Receivers = c.Receivers
	return a
}

// fillReceivers gives receivers the defaults of their types for the keys that they
// leave out, or leave empty.
func (c *Config) fillReceivers(b []byte) error {
	var written struct {
		Receiver []map[string]any `toml:"receiver"`
	}
	if err := toml.Unmarshal(b, &written); err != nil {
		return err
	}
	for i, table := range written.Receiver[:min(len(written.Receiver), len(c.Receivers))] {
		values := map[string]any{} // in whatever case the keys are, as the library reads them
		for k, v := range table {
			values[strings.ToLower(k)] = v
		}
		r := reflect.ValueOf(&c.Receivers[i]).Elem()
		defaults := reflect.ValueOf(notify.DefaultReceiver(c.Receivers[i].Type))
		for n := range r.NumField() {
			if v, set := values[r.Type().Field(n).Tag.Get("toml")]; !set || v == "" {
				r.Field(n).Set(defaults.Field(n))
			}
		}
	}
	return nil
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
