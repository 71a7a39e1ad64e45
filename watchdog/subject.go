package watchdog

import (
	"net/netip"
	"strings"
)

// SubjectKind is the sort of thing that a condition is about.
type SubjectKind uint8

// The kinds of subjects.
const (
	SubjectHost   SubjectKind = iota // this host
	SubjectLink                      // a network link, or one direction of it
	SubjectTarget                    // a host that is probed
	SubjectProbe                     // a probe of our own
	SubjectRemedy                    // a remedy of our own
)

// Subject is what a condition is about. The zero value is this host.
type Subject struct {
	Kind      SubjectKind
	Name      string    // of the link, probe or remedy, or the target's address; empty for the host and for an unknown link
	Directed  bool      // Direction alone is meant, not the whole link
	Direction Direction // of a link; valid while Directed
}

// LinkSubject is a whole link, by name.
func LinkSubject(link string) Subject { return Subject{Kind: SubjectLink, Name: link} }

// DirectionSubject is one direction of a link; an empty name is an unknown link.
func DirectionSubject(link string, d Direction) Subject {
	return Subject{Kind: SubjectLink, Name: link, Directed: true, Direction: d}
}

// TargetSubject is a probe target, by its address.
func TargetSubject(a netip.Addr) Subject { return Subject{Kind: SubjectTarget, Name: a.String()} }

// ProbeSubject is one of our probes.
func ProbeSubject(p ProbeName) Subject { return Subject{Kind: SubjectProbe, Name: string(p)} }

// RemedySubject is one of our remedies.
func RemedySubject(r Remedy) Subject { return Subject{Kind: SubjectRemedy, Name: string(r)} }

// The text forms that are no names.
const (
	hostText        = "host"
	unknownLinkText = "unknown link"
)

// String is the text form, as people and receivers of alerts know it: "host",
// "eth0", "eth0 rx", "192.0.2.1", "nic", "window".
func (s Subject) String() string {
	switch s.Kind {
	case SubjectHost:
		return hostText
	case SubjectLink:
		name := s.Name
		if name == "" {
			name = unknownLinkText
		}
		if s.Directed {
			return name + " " + s.Direction.String()
		}
		return name
	}
	return s.Name
}

// MarshalText writes the text form.
func (s Subject) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSubject reads the text form; what kind of subject it is depends on the
// condition that has it.
func ParseSubject(of ConditionName, text string) Subject {
	switch of {
	case ManagementPeerSilent, TargetContradicted:
		return Subject{Kind: SubjectTarget, Name: text}
	case ProbeBlind:
		return ProbeSubject(ProbeName(text))
	case RemedyFailed:
		return RemedySubject(Remedy(text))
	}
	if text == hostText {
		return Subject{}
	}
	for _, d := range []Direction{Rx, Tx} {
		if link, ok := strings.CutSuffix(text, " "+d.String()); ok {
			if link == unknownLinkText {
				link = ""
			}
			return DirectionSubject(link, d)
		}
	}
	return LinkSubject(text)
}
