// Command benchlab runs the incident in the lab with and without Lifeline, in
// every combination that docs/benchmarks.md shows, and writes its section there. It
// needs root, rsync and sshd, a quiet machine, and about a quarter of an hour with an
// administrator and three quarters with nobody logged in.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/cmd/dev/benchpage/section"
	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
)

func main() {
	o := options{}
	var onlyDay, onlyNight bool
	flag.StringVar(&o.binary, "binary", "bin/lifeline", "the daemon to measure")
	flag.StringVar(&o.out, "out", "docs/benchmarks.md", "the page to write; with '' none is, and no night is run without Lifeline")
	flag.StringVar(&o.only, "only", "", "run only the case of this name, or else those whose name contains it")
	flag.DurationVar(&o.measure, "measure", 8*time.Second, "length of each measurement by day")
	flag.BoolVar(&onlyDay, "day", false, "run only the cases with an administrator who is logged in")
	flag.BoolVar(&onlyNight, "night", false, "run only those with nobody logged in")
	flag.IntVar(&o.nightRuns, "night-runs", 3, "runs of each night with Lifeline")
	flag.DurationVar(&o.nightLength, "night-length", time.Minute, "length of a night, from the transfers' start")
	flag.StringVar(&o.trace, "trace", "", "directory for the course of each bad night; asking the daemon for it costs it a cycle 5 times a second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := o.run(ctx, !onlyNight, !onlyDay); err != nil {
		fmt.Fprintln(os.Stderr, "benchlab:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	binary, out, only, trace string
	measure, nightLength     time.Duration
	nightRuns                int
}

// run measures what was asked for and writes it.
func (o options) run(ctx context.Context, day, night bool) error {
	if day {
		rows, err := o.days(ctx)
		if err != nil {
			return err
		}
		if err := o.write("lab", "make bench-lab ARGS=-day", body(rows, o.measure)); err != nil {
			return err
		}
	}
	if night {
		rows, err := o.nights(ctx)
		if err != nil {
			return err
		}
		return o.write("lab-night", "make bench-lab ARGS=-night", nightBody(rows, o.nightRuns, o.nightLength))
	}
	return nil
}

func (o options) write(name, command, body string) error {
	if o.out == "" {
		return nil
	}
	return section.Write(o.out, section.Section{Name: name, Command: command, Body: body})
}

// way is how the link is kept, or not.
type way struct {
	name      string
	mechanism string // modes of the link; empty is the default
	daemon    bool
	bwlimit   bool
}

var ways = []way{
	{name: "none"},
	{name: "bwlimit", bwlimit: true},
	{name: "lifeline", daemon: true},
	{name: "lifeline, socket options only", daemon: true, mechanism: "socket"},
}

// bwlimitFor8 is rsync's --bwlimit in KiB/s that lets 8 transfers share 90 % of
// 100 Mbit/s.
const bwlimitFor8 = 1373

// row is one line of the table.
type row struct {
	setting string // cc, direction, via, n
	way     string
	r       scenario.Result
	err     error
}

// days runs the cases with an administrator.
func (o options) days(ctx context.Context) (rows []row, err error) {
	for _, set := range settings() {
		for _, w := range ways {
			name := fmt.Sprintf("%s %s %s %d", set.cc, set.ts.Dir, set.ts.Via, set.ts.N)
			if !strings.Contains(name+" "+w.name, o.only) {
				continue
			}
			c := scenario.Case{
				Lab:       lab.Options{CC: set.cc, FileSize: 128 << 20},
				Transfers: set.ts, Settle: 3 * time.Second, Measure: o.measure,
			}
			if w.bwlimit {
				c.Bwlimit = bwlimitFor8
			}
			if w.daemon {
				c.Daemon = &scenario.Daemon{Binary: o.binary, Config: modes(w.mechanism)}
			}
			r, err := scenario.Run(ctx, c)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			rows = append(rows, row{name, w.name, r, err})
			fmt.Println(rows[len(rows)-1])
		}
	}
	return rows, nil
}

// setting is one combination of the incident.
type setting struct {
	cc string
	ts lab.Transfers
}

func settings() (all []setting) {
	for _, cc := range []string{"cubic", "bbr"} {
		for _, dir := range []lab.Direction{lab.Push, lab.Pull} {
			for _, via := range []lab.Via{lab.ViaDaemon, lab.ViaSSH} {
				for _, n := range []int{4, 16} {
					all = append(all, setting{cc, lab.Transfers{N: n, Dir: dir, Via: via}})
				}
			}
		}
	}
	return all
}

// modes is a configuration that holds all links by one mechanism.
func modes(m string) string {
	if m == "" {
		return ""
	}
	return fmt.Sprintf("[link.default]\ningress = %q\negress = %q\n", m, m)
}

func ms(d time.Duration) string {
	if d == lab.Never {
		return "none"
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

// String is a row of the Markdown table.
func (r row) String() string {
	if r.err != nil {
		return fmt.Sprintf("| %s | %s | failed: %s ||||||||", r.setting, r.way, strings.ReplaceAll(r.err.Error(), "\n", " "))
	}
	calm, cpu, rss := "never", "", ""
	if r.r.Calmed {
		calm = fmt.Sprintf("%.1f", r.r.Calm.Seconds())
	}
	if r.r.Usage.RSS > 0 {
		cpu, rss = fmt.Sprintf("%.1f", 100*r.r.Usage.CPU), fmt.Sprintf("%.0f", float64(r.r.Usage.RSS)/1e6)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %.1f | %.1f | %s | %s | %s | %s |", r.setting, r.way,
		ms(r.r.P50), ms(r.r.P99), 100*r.r.Loss, r.r.Goodput/1e6, ms(r.r.Peak), calm, cpu, rss)
}

const head = `- It takes about a quarter of an hour and needs root.
- The lab: a 100 Mbit/s uplink with a 2 MB FIFO in each direction, base RTT about
  0.1 ms; real rsyncs start at once, an administrator is logged in by ssh and
  pings every 20 ms. No configuration, nothing learnt before.
- RTT median and 99th percentile, loss and goodput are taken for %s from 3 s
  after the start. The peak is the longest RTT from the start to the end. Calm is
  the time from the start until the median of every following 500 ms is below
  10 ms. CPU is of one core, daemon and guard together, as is memory (RSS).
- push: the server receives; pull: the server sends. Goodput is TCP payload that
  arrives at the receiver's link. bwlimit is rsync's own ` + "`--bwlimit=%d`" + `, right for 8 transfers.

| case | way | RTT p50 ms | p99 ms | loss %% | Mbit/s | peak ms | calm after s | CPU %% | MB |
|---|---|---|---|---|---|---|---|---|---|
`

// body is the section without what every section says.
func body(rows []row, measure time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, head, measure, bwlimitFor8)
	for _, r := range rows {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}
