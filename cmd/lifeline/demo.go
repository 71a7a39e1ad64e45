package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
)

// demoOptions are the re-enactment's choices.
type demoOptions struct {
	transfers int
	pull, ssh bool
	bbr       bool
	seconds   int
}

func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Re-enact the incident in network namespaces, without Lifeline and with it",
		Long: "Builds a backup server, its clients and an administrator out of network namespaces,\n" +
			"with a 100 Mbit/s uplink and a 2 MB queue between them, starts real rsyncs, and shows\n" +
			"the administrator's round-trip time and the transfers' goodput: first without\n" +
			"Lifeline, then with it. It needs root and touches nothing of this host's network.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.IntVar(&o.transfers, "transfers", 16, "how many rsyncs at once")
	f.BoolVar(&o.pull, "pull", false, "clients pull from the server (default: they push to it)")
	f.BoolVar(&o.ssh, "ssh", false, "rsync over ssh (default: rsync daemon)")
	f.BoolVar(&o.bbr, "bbr", false, "senders use bbr (default: cubic)")
	f.IntVar(&o.seconds, "seconds", 12, "length of each half")
	return cmd
}

// check refuses what cannot be shown.
func (o demoOptions) check() error {
	switch {
	case os.Geteuid() != 0:
		return &exitError{exitFailed, errors.New("the demo makes network namespaces: run it as root")}
	case o.transfers < 1 || o.transfers > 64:
		return usage(fmt.Errorf("--transfers %d is out of range: 1 to 64", o.transfers))
	case o.seconds < 6 || o.seconds > 120:
		return usage(fmt.Errorf("--seconds %d is out of range: 6 to 120", o.seconds))
	}
	return nil
}

// scene is the incident with these options.
func (o demoOptions) scene() scenario.Case {
	c := scenario.Case{
		Transfers: lab.Transfers{N: o.transfers, Dir: lab.Push},
		Settle:    3 * time.Second,
		Measure:   time.Duration(o.seconds-3) * time.Second,
	}
	if o.pull {
		c.Transfers.Dir = lab.Pull
	}
	if o.ssh {
		c.Transfers.Via = lab.ViaSSH
	}
	if o.bbr {
		c.Lab.CC = "bbr"
	}
	return c
}

func (o demoOptions) run(ctx context.Context, w io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := o.scene()
	fmt.Fprintf(w, "%d rsyncs (%s, %s) over a 100 Mbit/s uplink with a 2 MB queue;\nan administrator pings.\n\n",
		o.transfers, c.Transfers.Dir, c.Transfers.Via)
	fmt.Fprintln(w, heading)
	var before []scenario.Moment
	c.Live = func(m scenario.Moment) {
		before = append(before, m)
		fmt.Fprintln(w, row(m.At, m, nil))
	}
	without, err := scenario.Run(ctx, c)
	if err != nil {
		return interrupted(ctx, err)
	}
	fmt.Fprintln(w)
	c.Live = func(m scenario.Moment) { fmt.Fprintln(w, row(m.At, nearest(before, m.At), &m)) }
	c.Daemon = &scenario.Daemon{Binary: self}
	with, err := scenario.Run(ctx, c)
	if err != nil {
		return interrupted(ctx, err)
	}
	return comparison(w, without, with)
}

// nearest is the moment of the first half that is closest to a time.
func nearest(ms []scenario.Moment, at time.Duration) (best scenario.Moment) {
	for _, m := range ms {
		if best == (scenario.Moment{}) || (m.At-at).Abs() < (best.At-at).Abs() {
			best = m
		}
	}
	return best
}

// interrupted keeps Ctrl-C from looking like a failure; the lab is gone by now.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &exitError{exitFailed, errors.New("interrupted; the demo's namespaces are removed")}
	}
	return err
}

// heading stands above the live picture; no line of it is wider than 79.
const heading = "               without Lifeline            with Lifeline  RTT, 10 ms a mark"

// row is one line of the live picture: RTT and goodput without Lifeline and with
// it, and both RTTs as one bar. With is nil in the first half.
func row(at time.Duration, without scenario.Moment, with *scenario.Moment) string {
	const width = 16
	bar := make([]byte, width)
	for i := range bar {
		reached := func(d time.Duration) bool {
			return d == lab.Never || d > time.Duration(i)*10*time.Millisecond+5*time.Millisecond
		}
		switch {
		case with != nil && reached(with.RTT):
			bar[i] = '#'
		case reached(without.RTT):
			bar[i] = '.'
		default:
			bar[i] = ' '
		}
	}
	second := strings.Repeat(" ", len(brief(without)))
	if with != nil {
		second = brief(*with)
	}
	return fmt.Sprintf("%5.1f s  %s   %s  |%s|", at.Seconds(), brief(without), second, bar)
}

func brief(m scenario.Moment) string {
	return fmt.Sprintf("%9s %5.1f Mbit/s", rtt(m.RTT), m.Goodput/1e6)
}

func rtt(d time.Duration) string {
	if d == lab.Never {
		return "no answer"
	}
	return fmt.Sprintf("%6.1f ms", float64(d)/float64(time.Millisecond))
}

// comparison is the table at the end.
func comparison(w io.Writer, a, b scenario.Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	line := func(name string, f func(scenario.Result) string) {
		fmt.Fprintf(tw, "%s\t%s\t%s\t\n", name, f(a), f(b))
	}
	fmt.Fprintf(tw, "\n\twithout Lifeline\twith Lifeline\t\n")
	line("administrator's RTT, median", func(r scenario.Result) string { return rtt(r.P50) })
	line("99th percentile", func(r scenario.Result) string { return rtt(r.P99) })
	line("highest, from the first second", func(r scenario.Result) string { return rtt(r.Peak) })
	line("lost", func(r scenario.Result) string { return fmt.Sprintf("%.1f %%", 100*r.Loss) })
	line("RTT stays below 10 ms after", func(r scenario.Result) string {
		if !r.Calmed {
			return "never"
		}
		return fmt.Sprintf("%.1f s", r.Calm.Seconds())
	})
	line("goodput of the rsyncs", func(r scenario.Result) string { return fmt.Sprintf("%.1f Mbit/s", r.Goodput/1e6) })
	return tw.Flush()
}
