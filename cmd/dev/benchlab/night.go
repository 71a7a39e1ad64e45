package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// night is one setting with nobody logged in.
type night struct {
	name       string
	rate       uint64 // of the uplink, bits/s
	ts         lab.Transfers
	sendBuffer int // of the clients' connections, bytes; 0 is the kernel's
}

func nightSettings() []night {
	push := func(n int) lab.Transfers { return lab.Transfers{N: n, Dir: lab.Push} }
	pull := func(n int) lab.Transfers { return lab.Transfers{N: n, Dir: lab.Pull} }
	ssh := lab.Transfers{N: 16, Dir: lab.Push, Via: lab.ViaSSH}
	all := []night{
		{name: "receive 16", rate: 100e6, ts: push(16)},
		{name: "send 16", rate: 100e6, ts: pull(16)},
		{name: "receive 64", rate: 100e6, ts: push(64)},
		{name: "ssh receive 16", rate: 100e6, ts: ssh},
		{name: "ssh receive 16, send buffers of 1 MB", rate: 100e6, ts: ssh, sendBuffer: 1 << 20},
	}
	for _, rate := range []uint64{10e6, 500e6, 1000e6} {
		all = append(all,
			night{name: fmt.Sprintf("receive 16 at %d Mbit/s", rate/1e6), rate: rate, ts: push(16)},
			night{name: fmt.Sprintf("send 8 at %d Mbit/s", rate/1e6), rate: rate, ts: pull(8)})
	}
	return all
}

// chosen are the settings that -only names: the one of that name, or else all whose
// name contains it.
func chosen(all []night, only string) []night {
	for _, n := range all {
		if n.name == only {
			return []night{n}
		}
	}
	return slices.DeleteFunc(all, func(n night) bool { return !strings.Contains(n.name, only) })
}

// nightSettle is the time from the transfers' start after which goodput counts.
const nightSettle = 5 * time.Second

// scene is one night of the setting. The source files are holes, large enough that
// no transfer ends.
func (n night) scene(length time.Duration) scenario.Case {
	return scenario.Case{
		Lab: lab.Options{
			Rate: n.rate, Gateway: lab.GatewayAnswers, Files: 1, FileSize: 64 << 30, Sparse: true,
			SendBuffer: n.sendBuffer,
		},
		Transfers: n.ts, Settle: nightSettle, Measure: length - nightSettle, NobodyLoggedIn: true,
	}
}

// payloadShare is the part of a link's rate that full frames of TCP over IPv4 with
// timestamps leave to the payload; the lab's token bucket counts Ethernet headers.
const payloadShare = 1448.0 / 1514

// nights runs each setting and tells each run as it ends.
func (o options) nights(ctx context.Context) (rows []nightRow, err error) {
	if o.nightLength <= nightSettle {
		return nil, fmt.Errorf("-night-length %s: goodput counts from %s", o.nightLength, nightSettle)
	}
	settings := chosen(nightSettings(), o.only)
	if len(settings) == 0 {
		return nil, fmt.Errorf("-only %q: there is no such night", o.only)
	}
	for _, n := range settings {
		with, err := o.ofOne(ctx, nightRow{night: n, way: "lifeline"}, &scenario.Daemon{Binary: o.binary}, o.nightRuns)
		if err != nil {
			return nil, err
		}
		rows = append(rows, with)
		if o.out == "" {
			continue
		}
		without, err := o.ofOne(ctx, nightRow{night: n, way: "none"}, nil, 1)
		if err != nil {
			return nil, err
		}
		rows = append(rows, without)
	}
	return rows, nil
}

// ofOne makes all runs of one row. A run that fails is in the row.
func (o options) ofOne(ctx context.Context, row nightRow, d *scenario.Daemon, runs int) (nightRow, error) {
	for i := range runs {
		r, err := o.oneNight(ctx, row.night, d, i+1)
		if ctx.Err() != nil {
			return row, ctx.Err()
		}
		row.add(r, err)
	}
	fmt.Println(row)
	return row, nil
}

// oneNight makes one run, prints it, and keeps its course if it was a bad one.
func (o options) oneNight(ctx context.Context, n night, d *scenario.Daemon, number int) (scenario.Result, error) {
	c := n.scene(o.nightLength)
	c.Daemon = d
	var asked []answer
	if o.trace != "" && d != nil {
		c.Ask = func(at time.Duration, st web.Status) { asked = append(asked, answer{at, st}) }
	}
	r, err := scenario.Run(ctx, c)
	name := fmt.Sprintf("%s %d", n.name, number)
	if d == nil {
		name = n.name + " without Lifeline"
	}
	if err != nil {
		fmt.Printf("%s: failed: %v\n", name, err)
		return r, err
	}
	line := name + ": " + figures(n, r)
	fmt.Println(line)
	if asked != nil && bad(n, r) {
		return r, course{line, r, asked}.write(o.trace, name)
	}
	return r, nil
}

// bad tells whether a run is worth a look.
func bad(n night, r scenario.Result) bool {
	return !r.Reached || r.After > time.Second || r.Peak > 60*time.Millisecond ||
		r.Relapses > 0 || r.Lost > 0 || n.share(r.Goodput) < 0.9
}

// share is a goodput as a part of what the link can carry.
func (n night) share(goodput float64) float64 { return goodput / (float64(n.rate) * payloadShare) }

// figures is one run in one line.
func figures(n night, r scenario.Result) string {
	last := "none >=20 ms"
	if r.Last > 0 {
		last = fmt.Sprintf("last >=20 ms at %.2f s", r.Last.Seconds())
	}
	s := fmt.Sprintf("calm %s s, peak %s ms, %s, relapses %d, lost %d, goodput %.1f Mbit/s (%.1f %%), lowest 5 s %.1f (%.1f %%)",
		seconds(calm(r)), ms(r.Peak), last, r.Relapses, r.Lost,
		r.Goodput/1e6, 100*n.share(r.Goodput), r.Lowest/1e6, 100*n.share(r.Lowest))
	if r.Status.PID == 0 {
		return s
	}
	return fmt.Sprintf("%s, CPU %.1f %%; %s", s, 100*r.Usage.CPU, state(r.Status))
}

// state is where the controllers are, and what conditions stand.
func state(st web.Status) string {
	var words []string
	for _, c := range st.Control {
		if c.Transfers == 0 && c.Limited == 0 {
			continue
		}
		w := fmt.Sprintf("%s %s %s, capacity %.1f, shaper %.1f Mbit/s, delay %s", c.Name, c.Direction, c.Phase,
			c.Capacity*8/1e6, c.Shaper*8/1e6, delay(c.Delay.Queue, c.Delay.Known))
		words = append(words, w)
	}
	return strings.Join(append(words, conditions(st)), "; ")
}

func delay(d time.Duration, known bool) string {
	if !known {
		return "unknown"
	}
	return ms(d) + " ms"
}
