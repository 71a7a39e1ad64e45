package iptables

import (
	"fmt"
	"strings"

	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/lex"
)

// Rulesets are the files that a boot loads for one family, with one of the back ends as
// the question's. They are read once and may be asked any number of questions, one at a
// time.
type Rulesets struct {
	family  Family
	backend Backend
	// released is how iptables 1.8.9 reads the rules, documented how a tool does that
	// keeps to its manual; nil where the two read alike.
	released, documented *reading
	others               otherRulesets
}

// Read reads the files. It never fails: what it cannot know becomes an assumption of the
// answers.
func Read(f Family, b Backend, in Inputs) *Rulesets {
	r := &Rulesets{family: f, backend: b, released: readFiles(f, b, in, false), others: readOthers(f, in)}
	if r.released.versionDoubt != nil {
		r.documented = readFiles(f, b, in, true)
	}
	return r
}

// Answer answers a question of the family and back end that the files were read for.
func (s *Rulesets) Answer(q Question) Result {
	q.Family, q.Backend = s.family, s.backend
	r := s.answer(q, s.released)
	if s.documented == nil {
		return r
	}
	if other := s.answer(q, s.documented); r.Verdict != other.Verdict || r.Scope != other.Scope {
		r.doubt(*s.released.versionDoubt)
	}
	return r
}

// Analyse reads the files for one question alone.
func Analyse(q Question, in Inputs) Result { return Read(q.Family, q.Backend, in).Answer(q) }

// answer answers by one reading of the rules.
func (s *Rulesets) answer(q Question, l *reading) Result {
	a := flow.New(q.ofFamily(), l.sets, l.stack())
	f := a.Answer()
	r := Result{Load: l.load, LoadError: l.loadError, Verdict: f.Verdict, Scope: f.Scope, Counterexample: f.Counterexample, Trace: f.Trace,
		Assumptions: f.Assumptions, Probes: f.Probes}
	if !q.Family.Valid() || !q.Backend.Valid() {
		r = Result{Load: LoadUnknown, Verdict: Conditional,
			Assumptions: []Assumption{{Name: "question", Why: fmt.Sprintf("family %d or back end %q is not known", q.Family, q.Backend)}}}
	}
	if isTunnel(q.Iface) {
		r.assume(Assumption{Name: "tunnel", Why: "the link " + q.Iface + " is a tunnel: its outer packets are a question of their own"})
	}
	for _, x := range l.assumed {
		r.assume(x)
	}
	for _, x := range l.doubts {
		r.doubt(x)
	}
	s.others.join(q, l, &r)
	r.Warnings = append(r.Warnings, l.warnings...)
	if q.Family.Valid() {
		r.Warnings = append(r.Warnings, a.Warnings()...)
	}
	return r
}

// isTunnel goes by the names that tunnels usually have.
func isTunnel(link string) bool {
	name := strings.TrimRight(link, "0123456789")
	return name != link && lex.OneOf(name, "wg tun tap ppp gre gretap sit ipip vti ipsec xfrm l2tp")
}
