package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog/control"
	"lifeline/watchdog/engine"
)

// check finds the values that have the right type and no sense.
func (c *Config) check() (errs []*Error) {
	bad := func(key, format string, args ...any) {
		errs = append(errs, &Error{Key: key, Msg: fmt.Sprintf(format, args...)})
	}
	c.checkPlaces(bad)
	c.checkControl(bad)
	c.checkPath(bad)
	c.Budget.check(bad)
	c.checkAlerts(bad)
	if d := c.Preboot.Every.Duration; d != 0 && (d < 30*time.Second || d > 24*time.Hour) {
		bad("preboot.every", `%s is out of range: between "30s" and "24h", or "0s" for never`, d)
	}
	if l := c.Guard.Lease.Duration; l < 500*time.Millisecond || l > 10*time.Second {
		bad("guard.lease", `%s is out of range: between "500ms" and "10s"`, l)
	}
	c.Web.check(bad)
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", `%q is not known: "text" or "json"`, c.Log.Format)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Link)) {
		checkLink(name, c.Link[name], bad)
	}
	return errs
}

// hostName is a name of DNS as it stands in a URL, with one dot or none at its end.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func (w Web) check(bad report) {
	if l := w.Listen; l != "" {
		if _, err := netip.ParseAddrPort(l); err != nil {
			bad("web.listen", `%q is no address with a port: write it as "127.0.0.1:9731" or "[::1]:9731", or "" for none; names are not looked up`, l)
		}
	}
	for _, h := range w.Hosts {
		if len(h) > 253 || !hostName.MatchString(h) {
			bad("web.hosts", `%q is no host name: write it without scheme, port and path, as "metrics.example.org"; addresses and localhost need no entry`, h)
		}
	}
}

// HostNames are the names by which the page may be asked, as a request's are
// compared: in lower case, without a dot at the end.
func (w Web) HostNames() []string {
	var out []string
	for _, h := range w.Hosts {
		out = append(out, strings.TrimSuffix(strings.ToLower(h), "."))
	}
	return out
}

// maxSocketPath leaves room for a pid behind the name within the 107 bytes of
// unix(7)'s sun_path.
const maxSocketPath = 96

// CheckSocket tells why no control socket can be made at a path.
func CheckSocket(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return fmt.Errorf(`%q is not an absolute path: begin it with "/"`, path)
	case len(path) > maxSocketPath:
		return fmt.Errorf("the path has %d bytes and may have %d: choose a shorter one", len(path), maxSocketPath)
	}
	return nil
}

// report notes a mistake in the value of a key, or of two that do not go together.
type report func(key, format string, args ...any)

// and stands between the keys of a rule for two, as both makes them.
const and = "\x00"

func both(a, b string) string { return a + and + b }

func (c *Config) checkPlaces(bad report) {
	for _, d := range []struct{ key, path string }{{"state_dir", c.StateDir}, {"run_dir", c.RunDir}} {
		if !filepath.IsAbs(d.path) {
			bad(d.key, `%q is not an absolute path: begin it with "/"`, d.path)
		}
	}
	switch err := CheckSocket(c.SocketPath()); {
	case err == nil || c.Socket == "" && !filepath.IsAbs(c.RunDir):
	case c.Socket == "":
		bad(both("run_dir", "socket"), "with the control socket in it %v, or name another place in socket", err)
	default:
		bad("socket", "%v", err)
	}
	if c.SocketGroup != "" {
		if _, err := user.LookupGroup(c.SocketGroup); err != nil {
			bad("socket_group", "there is no group %q on this host: create it, or leave the key out", c.SocketGroup)
		}
	}
}

func (c *Config) checkControl(bad report) {
	t, e := c.Control.TargetDelay.Duration, c.Control.EngageDelay.Duration
	switch {
	case t < 500*time.Microsecond || t > time.Second:
		bad("control.target_delay", `%s is out of range: between "500us" and "1s"`, t)
	case e < t:
		bad(both("control.engage_delay", "control.target_delay"), "engage_delay is %s and less than target_delay, which is %s: write engage_delay from target_delay to 2s", e, t)
	}
	if e > 2*time.Second {
		bad("control.engage_delay", `%s is out of range: from target_delay to "2s"`, e)
	}
	if c.Control.MaxRunning < 0 || c.Control.MaxRunning > 100000 {
		bad("control.max_running", "%d is out of range: 0 for no cap, at most 100000", c.Control.MaxRunning)
	}
	if s := c.Control.Share; s != control.ShareEqual && s != control.ShareSmallFirst {
		bad("control.share", `%q is not known: "equal" or "small-first"`, s)
	}
}

func (c *Config) checkPath(bad report) {
	for _, t := range c.Path.Targets {
		if t.IsUnspecified() || t.IsMulticast() || t.IsLoopback() {
			bad("path.targets", "%s is no host that could be asked: name the address of a management host", t)
		}
	}
}

func (b Budget) check(bad report) {
	for _, k := range []struct {
		name string
		n    int
	}{{"pauses", b.Pauses}, {"shapers", b.Shapers}} {
		if k.n < 1 || k.n > 10000 {
			bad("budget."+k.name, "%d is out of range: from 1 to 10000 within an hour", k.n)
		}
	}
	if h := b.PauseHold.Duration; h < 10*time.Second || h > 24*time.Hour {
		bad("budget.pause_hold", `%s is out of range: between "10s" and "24h"`, h)
	}
	if h := b.LimitHold.Duration; h < time.Minute || h > 24*time.Hour {
		bad("budget.limit_hold", `%s is out of range: between "1m" and "24h"`, h)
	}
}

func checkLink(name string, l Link, bad report) {
	if len(name) > 15 || strings.ContainsAny(name, "/ \t\n") || name == "" { // dev_valid_name in net/core/dev.c
		bad("link."+name, "%q cannot be the name of a link: at most 15 bytes, no space, no slash", name)
	}
	modes := []engine.Mode{engine.ModeAuto, engine.ModeSocket, engine.ModeShaper, engine.ModeOff}
	for key, m := range map[string]engine.Mode{"ingress": l.Ingress, "egress": l.Egress} {
		if !slices.Contains(modes, m) {
			bad("link."+name+"."+key, `%q is not known: "auto", "socket", "shaper" or "off"`, m)
		}
	}
}
