package daemon

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"

	"lifeline/watchdog"
	"lifeline/watchdog/metrics"
	"lifeline/watchdog/web"
)

// newMetrics makes what other programs watch the daemon by.
func (d *daemon) newMetrics() {
	o := metrics.Options{
		Version: d.Version, DryRun: d.DryRun, Engage: d.cfg.Control.EngageDelay.Duration,
		Capabilities: func() []watchdog.Capability { return d.publisher.capabilities() },
		Usage:        usageOf,
	}
	if d.alerts != nil {
		o.Alerts = d.alerts.Status
	}
	d.metrics, d.health = metrics.New(o), web.NewHealth(time.Now())
}

// openPage serves them, unless that is switched off.
func (d *daemon) openPage() {
	if d.cfg.Web.Listen == "" {
		return
	}
	p := &web.Page{Listen: d.cfg.Web.Listen, Hosts: d.cfg.Web.HostNames(), Metrics: d.metrics.Handler(), Health: d.health, Log: d.log}
	d.publisher.page = p
	d.tasks = append(d.tasks, p)
}

// publish passes the report of one cycle on; nobody here waits.
func (d *daemon) publish(r watchdog.Report) {
	d.publisher.publish(r)
	d.metrics.Record(metrics.Cycle{Report: r, GuardPID: d.actuator.guardState().pid})
	now := time.Now()
	d.health.Cycle(now, r)
	if d.manager != nil {
		d.manager.cycle(r, now)
	}
}

// usageOf tells what a child of ours has used. One that is gone is an error,
// also when its pid belongs to somebody else by now.
func usageOf(pid int) (u metrics.Usage, err error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return u, err
	}
	st, err := p.Stat()
	if err != nil {
		return u, err
	}
	if st.PPID != os.Getpid() {
		return u, fmt.Errorf("process %d is no child of ours", pid)
	}
	return metrics.Usage{CPU: time.Duration(st.CPUTime() * float64(time.Second)), Resident: int64(st.ResidentMemory())}, nil
}
