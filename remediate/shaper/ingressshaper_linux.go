package shaper

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

// ingressShaper is a shaper for what comes in on a link.
type ingressShaper struct {
	ingress
	link, ifb int
	name      string // of the ifb
	entrance  uint32 // handle of a filter that leads into a table
	checked   time.Time
	flows     map[flow]*flowFilter
	classes   map[flow]*transferClass // classes of single transfers
	used      map[uint32]bool         // handles in use
	cycle     uint64                  // of hold
	counted   time.Time
	bypassed  bool // some transfer passes by its filter
}

// flowFilter is the filter of one flow.
type flowFilter struct {
	handle   uint32
	hits     uint32 // packets that it led away, at the last count
	bytes    uint64 // of the transfer, at the last count
	bypassed bool   // the transfer moves and the filter sees none of it
	cycle    uint64 // the last in which a member was led by it
}

// check asks every time whether the ifb is there and up, as packets that are
// led to one that is not are lost, and from time to time for the rest.
func (g *ingressShaper) check(now time.Time) error {
	flags, ok := g.t.flags(g.name, g.ifb)
	up := ok && flags&unix.IFF_UP != 0
	if up && now.Sub(g.checked) < checkEvery {
		return nil
	}
	g.checked = now
	switch ok, err := g.t.hasFilter(g.link, tcObject{handle: g.entrance, parent: ingressHandle, info: filterInfo(flowTables[0])}); {
	case err != nil:
		return err
	case !ok:
		return errReplaced
	}
	_, err := g.t.classStats(g.ifb, classRsync)
	if err == nil && !up {
		err = errors.New("is down")
	}
	if err == nil {
		err = g.checkTransferClasses()
	}
	if err != nil {
		return fmt.Errorf("link %s was changed by others: %s", g.name, err)
	}
	return nil
}

func (g *ingressShaper) setRate(s tokenBucket) error {
	err := g.t.setClass(g.ifb, rsyncClass(rootHandle, s))
	if err != nil {
		g.checked = time.Time{}
	}
	return err
}

// setMembers makes the filters those of the members' connections.
func (g *ingressShaper) setMembers(members []watchdog.Transfer, classes []wantedClass, now time.Time) []watchdog.Failure {
	var fails []watchdog.Failure
	g.cycle++
	for i := range classes {
		if o := &classes[i]; o.err == nil {
			o.err = g.setTransferClass(o)
		}
	}
	for i := range members {
		m := &members[i]
		f, err := flowOf(m)
		if err = errors.Join(shapeable(m), err); err == nil {
			err = g.addMember(f, m.Bytes)
		}
		if err != nil {
			fails = append(fails, transferFailure(m.ID, err))
		}
	}
	for f, ff := range g.flows {
		if ff.cycle == g.cycle {
			continue
		}
		if err := g.deleteFlow(g.link, f, ff.handle); err != nil {
			fails = append(fails, watchdog.Failure{Remedy: remedy.Shaper, Target: f.remote.String(), Err: err.Error()})
			continue
		}
		delete(g.used, ff.handle)
		delete(g.flows, f)
	}
	fails = append(fails, g.removeUnwantedClasses()...)
	return append(fails, g.auditPackets(members, classes, now)...)
}

// addMember makes the filter of a flow, unless it is there.
func (g *ingressShaper) addMember(f flow, bytes uint64) error {
	if ff := g.flows[f]; ff != nil {
		ff.cycle = g.cycle
		return nil
	}
	handle, ok := freeHandle(f, g.used)
	if !ok {
		return errors.New("no room in the filter table")
	}
	if err := g.addFlow(g.link, g.ifb, f, handle); err != nil {
		return fmt.Errorf("filter for %s: %w", f.remote, err)
	}
	g.used[handle] = true
	g.flows[f] = &flowFilter{handle: handle, bytes: bytes, cycle: g.cycle}
	return nil
}

func freeHandle(f flow, used map[uint32]bool) (uint32, bool) {
	t := tableOf(f)
	for node := uint32(1); node < markNode; node++ {
		if h := filterHandle(t, t.bucket(f), node); !used[h] {
			return h, true
		}
	}
	return 0, false
}

// bypassedBytes is what a transfer must have moved past its filter before it is
// reported.
const bypassedBytes = 1 << 20

// auditPackets reports transfers whose packets do not look as their sockets say.
func (g *ingressShaper) auditPackets(members []watchdog.Transfer, classes []wantedClass, now time.Time) []watchdog.Failure {
	if now.Sub(g.counted) >= countEvery {
		g.counted = now
		hits, err := g.hits(g.link)
		if err != nil {
			return []watchdog.Failure{{Remedy: remedy.Shaper, Target: g.name, Err: fmt.Sprintf("count packets: %v", err)}}
		}
		g.bypassed = false
		for i := range members {
			g.compare(&members[i], hits)
		}
		for i := range classes {
			g.compare(&classes[i].transfer, hits)
		}
	}
	if !g.bypassed {
		return nil
	}
	for i := range classes {
		if o := &classes[i]; o.err == nil && g.isBypassed(&o.transfer) {
			o.err = errBypassed
		}
	}
	var fails []watchdog.Failure
	for i := range members {
		if m := &members[i]; g.isBypassed(m) {
			fails = append(fails, transferFailure(m.ID, errBypassed))
		}
	}
	return fails
}

var errBypassed = errors.New("not limited: its packets carry other addresses than its socket, or IP options (address translation, a tunnel?)")

// isBypassed says that a transfer moves and its filter sees none of it.
func (g *ingressShaper) isBypassed(t *watchdog.Transfer) bool {
	f, err := flowOf(t)
	return err == nil && g.flows[f] != nil && g.flows[f].bypassed
}

// compare holds what the filter of a transfer saw against what it moved.
func (g *ingressShaper) compare(t *watchdog.Transfer, hits map[uint32]uint32) {
	f, err := flowOf(t)
	ff := g.flows[f]
	if err != nil || ff == nil {
		return
	}
	n, there := hits[ff.handle]
	switch {
	case !there: // taken away by somebody: made anew with the next call
		delete(g.used, ff.handle)
		delete(g.flows, f)
	case n != ff.hits:
		ff.hits, ff.bytes, ff.bypassed = n, t.Bytes, false
	case t.Bytes < ff.bytes: // another connection with the same addresses
		ff.bytes = t.Bytes
	case t.Bytes-ff.bytes >= bypassedBytes:
		ff.bypassed = true
	}
	g.bypassed = g.bypassed || ff.bypassed
}

// releaseMembers has nothing to do: the filters go first when the shaper is removed.
func (g *ingressShaper) releaseMembers() []watchdog.Failure { return nil }
