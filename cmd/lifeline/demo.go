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

	"lifeline/cmd/scenario"
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
	fmt.Fprintf(w, "%d rsyncs (%s, %s) over a 100 Mbit/s uplink with a 2 MB queue; an administrator pings.\n\n",
		o.transfers, c.Transfers.Dir, c.Transfers.Via)
	var before []scenario.Moment
	fmt.Fprintln(w, "without Lifeline")
	c.Live = func(m scenario.Moment) {
		before = append(before, m)
		fmt.Fprintf(w, "%s\n", moment(m))
	}
	without, err := scenario.Run(ctx, c)
	if err != nil {
		return interrupted(ctx, err)
	}
	fmt.Fprintf(w, "\nwith Lifeline %s\n", strings.Repeat(" ", 38)+"(without)")
	i := 0
	c.Live = func(m scenario.Moment) {
		line := moment(m)
		if i < len(before) {
			line += "   (" + brief(before[i]) + ")"
		}
		i++
		fmt.Fprintln(w, line)
	}
	c.Daemon = &scenario.Daemon{Binary: self}
	with, err := scenario.Run(ctx, c)
	if err != nil {
		return interrupted(ctx, err)
	}
	return comparison(w, without, with)
}

// interrupted keeps Ctrl-C from looking like a failure; the lab is gone by now.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &exitError{exitFailed, errors.New("interrupted; the demo's namespaces are removed")}
	}
	return err
}

// moment is one line of the live picture: the RTT as a bar, and the goodput.
func moment(m scenario.Moment) string {
	const width = 32
	n := 0
	if m.RTT != lab.Never {
		n = min(width, int(m.RTT/(5*time.Millisecond)))
	}
	return fmt.Sprintf("%5.1f s  %s  |%-*s|  %5.1f Mbit/s", m.At.Seconds(), rtt(m.RTT), width, strings.Repeat("#", n), m.Goodput/1e6)
}

func brief(m scenario.Moment) string {
	return fmt.Sprintf("%s, %5.1f Mbit/s", rtt(m.RTT), m.Goodput/1e6)
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
	row := func(name string, f func(scenario.Result) string) {
		fmt.Fprintf(tw, "%s\t%s\t%s\t\n", name, f(a), f(b))
	}
	fmt.Fprintf(tw, "\n\twithout Lifeline\twith Lifeline\t\n")
	row("administrator's RTT, median", func(r scenario.Result) string { return rtt(r.P50) })
	row("99th percentile", func(r scenario.Result) string { return rtt(r.P99) })
	row("highest, from the first second", func(r scenario.Result) string { return rtt(r.Peak) })
	row("lost", func(r scenario.Result) string { return fmt.Sprintf("%.1f %%", 100*r.Loss) })
	row("below 10 ms for good after", func(r scenario.Result) string {
		if !r.Calmed {
			return "never"
		}
		return fmt.Sprintf("%.1f s", r.Calm.Seconds())
	})
	row("goodput of the rsyncs", func(r scenario.Result) string { return fmt.Sprintf("%.1f Mbit/s", r.Goodput/1e6) })
	return tw.Flush()
}
