package hostinfo

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Sighting is a session as it is remembered.
type Sighting struct {
	Session
	// FirstSeen is zero where only the last time was kept.
	FirstSeen time.Time `json:"first_seen,omitzero"`
	LastSeen  time.Time `json:"last_seen"`
}

// first is when a source was proven first, as far as is known.
func (s Sighting) first() time.Time {
	if s.FirstSeen.IsZero() {
		return s.LastSeen
	}
	return s.FirstSeen
}

const (
	// keptFor is how long a source is remembered.
	keptFor = 90 * 24 * time.Hour
	// maxSightings bounds the memory, maxAsked what of it is asked about.
	maxSightings = 2048
	maxAsked     = 256
	// maxTold bounds how many sources that are left out are told one by one.
	maxTold = 64
)

// Remember merges what is seen now into what was seen before. What the memory has no
// room for is returned apart.
func Remember(old []Sighting, now []Session, at time.Time) (kept, forgotten []Sighting) {
	merged := map[Session]Sighting{}
	add := func(s Sighting) {
		if have, ok := merged[s.Session]; ok {
			s.FirstSeen = earlier(have.first(), s.first())
			if have.LastSeen.After(s.LastSeen) {
				s.LastSeen = have.LastSeen
			}
		}
		merged[s.Session] = s
	}
	for _, s := range old {
		if at.Sub(s.LastSeen) < keptFor {
			add(s)
		}
	}
	for _, s := range now {
		add(Sighting{Session: s, FirstSeen: at, LastSeen: at})
	}
	return fairShare(slices.SortedFunc(maps.Values(merged), newest), maxSightings)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// newest orders sources by when they were seen last.
func newest(a, b Sighting) int {
	return cmp.Or(b.LastSeen.Compare(a.LastSeen), a.Src.Compare(b.Src), a.Local.Compare(b.Local), cmp.Compare(a.User, b.User))
}

// oldest orders sources by when they were proven first.
func oldest(a, b Sighting) int { return cmp.Or(a.first().Compare(b.first()), newest(a, b)) }

// SelectAsked picks what to ask about: all that are remembered, up to a number, and in any
// case those that are present. What there is no room for is returned apart.
func SelectAsked(all []Sighting, at time.Time) (asked, rest []Sighting) {
	var before []Sighting
	for _, s := range all {
		if s.LastSeen.Equal(at) {
			asked = append(asked, s)
		} else {
			before = append(before, s)
		}
	}
	more, rest := fairShare(before, maxAsked)
	return append(asked, more...), rest
}

// fairShare picks n of many sources, in their order. Whoever can log in can do so from any
// number of addresses, and must not displace anybody else's: the user with most of them
// gives way. Of each user's the half that was proven first stays, and of the others
// those that were seen last.
func fairShare(all []Sighting, n int) (kept, rest []Sighting) {
	byUser := map[string][]Sighting{}
	for _, s := range slices.SortedFunc(slices.Values(all), oldest) {
		byUser[s.User] = append(byUser[s.User], s)
	}
	out := map[Session]bool{}
	for range len(all) - n {
		user := givesWay(byUser)
		own := byUser[user]
		i := len(own) / 2
		i += slices.Index(own[i:], slices.MaxFunc(own[i:], newest))
		out[own[i].Session] = true
		if byUser[user] = slices.Delete(own, i, i+1); len(byUser[user]) == 0 {
			delete(byUser, user)
		}
	}
	for _, s := range all {
		if out[s.Session] {
			rest = append(rest, s)
		} else {
			kept = append(kept, s)
		}
	}
	return kept, rest
}

// givesWay is the user with most sources; of several who have as many, the one who came
// last, and root last of all.
func givesWay(byUser map[string][]Sighting) string {
	notRoot := func(user string) int {
		if user == "0" {
			return 0
		}
		return 1
	}
	came := func(user string) time.Time { return byUser[user][0].first() }
	return slices.MaxFunc(slices.Collect(maps.Keys(byUser)), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(byUser[a]), len(byUser[b])), notRoot(a)-notRoot(b), came(a).Compare(came(b)), cmp.Compare(a, b))
	})
}

// CountSightings tells how many sources there are, by when they were seen.
func CountSightings(list []Sighting, at time.Time) string {
	now, before := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, s := range list {
		if s.LastSeen.Equal(at) {
			now[s.Src] = true
		}
	}
	for _, s := range list {
		if !now[s.Src] {
			before[s.Src] = true
		}
	}
	return fmt.Sprintf("peers of ssh sessions, %d now and %d remembered", len(now), len(before))
}

// DescribeLeftOut tells of sources that are not asked about, the longest proven first.
func DescribeLeftOut(list, asked []Sighting) (out []string) {
	list = slices.DeleteFunc(list, func(s Sighting) bool {
		return slices.ContainsFunc(asked, func(a Sighting) bool { return a.Src == s.Src })
	})
	for n, s := range slices.SortedFunc(slices.Values(list), oldest) {
		if n == maxTold {
			return append(out, fmt.Sprintf("%d more sources of ssh sessions are not asked about", len(list)-n))
		}
		who := "a user who is not known"
		if s.User != "" {
			who = "uid " + s.User
		}
		out = append(out, fmt.Sprintf("%s is not asked about: %s logged in from too many addresses (last seen %s; to ask about it, --mgmt %s)",
			s.Src, who, s.LastSeen.UTC().Format(time.DateOnly), s.Src))
	}
	return out
}
