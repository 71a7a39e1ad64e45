package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
)

// nightRow is one line of the table: all runs of a setting in one way.
type nightRow struct {
	night
	way    string
	runs   []scenario.Result
	failed []error
}

func (r *nightRow) add(one scenario.Result, err error) {
	if err != nil {
		r.failed = append(r.failed, err)
		return
	}
	r.runs = append(r.runs, one)
}

// String is a row of the Markdown table: of each figure the worst run's, and the
// median in brackets.
func (r nightRow) String() string {
	if len(r.failed) > 0 {
		return fmt.Sprintf("| %s | %s | failed %d of %d: %s |||||||", r.name, r.way, len(r.failed), len(r.failed)+len(r.runs),
			strings.ReplaceAll(r.failed[0].Error(), "\n", " "))
	}
	high := func(f func(scenario.Result) time.Duration, text func(time.Duration) string) string {
		worst, median := rank(r.runs, f, 1)
		return text(worst) + " (" + text(median) + ")"
	}
	count := func(f func(scenario.Result) int) string {
		worst, median := rank(r.runs, f, 1)
		return fmt.Sprintf("%d (%d)", worst, median)
	}
	low := func(f func(scenario.Result) float64) string {
		worst, median := rank(r.runs, func(one scenario.Result) float64 { return 100 * r.share(f(one)) }, -1)
		return fmt.Sprintf("%.1f (%.1f)", worst, median)
	}
	return fmt.Sprintf("| %s | %s | %d | %s | %s | %s | %s | %s | %s |", r.name, r.way, len(r.runs),
		high(calm, seconds), high(func(one scenario.Result) time.Duration { return one.Peak }, ms),
		count(func(one scenario.Result) int { return one.Relapses }), count(func(one scenario.Result) int { return one.Lost }),
		low(func(one scenario.Result) float64 { return one.Goodput }), low(func(one scenario.Result) float64 { return one.Lowest }))
}

// calm is the time to calm for good; lab.Never if it was not reached.
func calm(r scenario.Result) time.Duration {
	if !r.Reached {
		return lab.Never
	}
	return r.After
}

func seconds(d time.Duration) string {
	if d == lab.Never {
		return "never"
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}

// rank returns the worst and the median (of two in the middle the worse) of a figure
// of all runs; bad is 1 where high is bad and -1 where low is.
func rank[T cmp.Ordered](runs []scenario.Result, f func(scenario.Result) T, bad int) (worst, median T) {
	var all []T
	for _, one := range runs {
		all = append(all, f(one))
	}
	if len(all) == 0 {
		return worst, median
	}
	slices.SortFunc(all, func(a, b T) int { return bad * cmp.Compare(b, a) })
	return all[0], all[(len(all)-1)/2]
}

const nightHead = `- It takes about three quarters of an hour and needs root.
- The lab as above, at 100 Mbit/s where no rate is named, but nobody is logged in:
  the server has a default route, whose gateway stands beyond the uplink and answers
  pings, and no other target. No configuration, nothing learnt before; the daemon is
  started 4 s before the transfers.
- An observer beyond the uplink pings the server every 20 ms, from a thread that runs
  before all ordinary processes (SCHED_FIFO) until the kernel's time of arrival.
- A run is %s from the transfers' start. Calm is the time from the start to the
  sending of the first ping since which every single one, to the end of the run, was
  answered in less than 20 ms. The peak is the longest RTT from the start to the end.
  Relapses are pings sent 1.0 s after the start or later that took 20 ms or longer or
  were lost; lost is counted from the start.
- Goodput is TCP payload that arrives at the receiver's link from 5 s after the start to
  the end, in %% of what the uplink can carry of it (%.1f %% of its rate: full frames
  with Ethernet, IPv4 and TCP headers and timestamps). Lowest is that of the worst 5 s
  within.
- receive: clients push to the server's rsync daemon, or by ssh; send: they pull. The
  files are holes (zeros; nothing compresses them) that take no memory at either end, and
  so large that no transfer ends.
- With Lifeline each setting is run %d times, without once. Each figure is that of
  the worst run, and in brackets the median run's.

| case | way | runs | calm after s | peak ms | relapses | lost | goodput %% | lowest %% |
|---|---|---|---|---|---|---|---|---|
`

// nightBody is the section without what every section says.
func nightBody(rows []nightRow, runs int, length time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, nightHead, length, 100*payloadShare, runs)
	for _, r := range rows {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}
