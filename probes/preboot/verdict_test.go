package preboot

import (
	"strings"
	"testing"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
)

// checks makes an analysis and a rehearsal of one question.
func checks(v iptables.Verdict, load iptables.Load, r *CheckResult) Report {
	a := CheckResult{Name: Analysis, Family: 4, Iface: "eth0", Load: load, Verdict: v}
	if v == iptables.Blocked {
		a.Scope = iptables.ScopeAll
	}
	rep := Report{Questions: []Asked{{Family: 4, Iface: "eth0"}}, Checks: []CheckResult{a}}
	if r != nil {
		r.Name, r.Family, r.Iface = Rehearsal, 4, "eth0"
		rep.Checks = append(rep.Checks, *r)
	}
	return rep
}

func rehearsed(v iptables.Verdict, probes ...ProbeResult) *CheckResult {
	return &CheckResult{Verdict: v, Probes: probes, Summary: "rehearsed"}
}

func probe(expect iptables.Verdict, o sandbox.Outcome) ProbeResult {
	return ProbeResult{Src: addrs("10.0.0.1")[0], Dst: addrs("192.0.2.10")[0], Port: 22, Via: viaGateway, Result: o, Expect: expect}
}

func TestConclude(t *testing.T) {
	const allowed, blocked, conditional = iptables.Allowed, iptables.Blocked, iptables.Conditional
	const ok, fails = iptables.LoadOK, iptables.LoadFails
	limited := checks(conditional, ok, rehearsed(blocked, probe("", sandbox.TimedOut)))
	limited.Checks[0].Assumptions = []iptables.Assumption{{Name: "hashlimit", File: "f", Line: 3, Why: "it counts"}}
	native := checks(conditional, ok, rehearsed(blocked, probe("", sandbox.TimedOut)))
	native.Checks[0].Assumptions = []iptables.Assumption{{Name: "nftables", Why: "a native file"}}
	narrow := probe(allowed, sandbox.Stalled)
	narrow.Via = viaNarrow
	file := checks(allowed, ok, rehearsed(allowed, probe(allowed, sandbox.Established)))
	file.Files = []FileStatus{{Role: savedrules.RoleNFT, Path: "own.nft", Load: fails, Error: "syntax"}}
	tunnel := checks(allowed, ok, rehearsed(allowed, probe(allowed, sandbox.Established)))
	tunnel.Assumptions = []iptables.Assumption{{Name: "tunnel", Why: "wg0 is a tunnel"}}
	two := checks(allowed, ok, nil)
	two.Questions = append(two.Questions, Asked{Family: 6, Iface: "eth0"})
	lost := checks(blocked, ok, rehearsed(allowed, probe(blocked, sandbox.Established)))
	lost.Questions = append(lost.Questions, Asked{Family: 6, Iface: "eth0"})
	lost.Checks = append(lost.Checks, CheckResult{Name: Analysis, Family: 6, Iface: "eth0", Load: ok, Verdict: blocked, Scope: iptables.ScopePart})
	alone := checks(allowed, ok, nil)
	alone.Checks[0].Name = Rehearsal
	for _, c := range []struct {
		name   string
		r      Report
		want   Verdict
		reason string
	}{
		{"both let in", checks(allowed, ok, rehearsed(allowed, probe(allowed, sandbox.Established))), Safe, "the rules let management in"},
		{"analysis only", checks(allowed, ok, nil), Safe, "the rules let management in"},
		{"no rehearsal possible", checks(allowed, ok, rehearsed("")), Safe, "stands alone: rehearsed"},
		{"both block", checks(blocked, ok, rehearsed(blocked, probe(blocked, sandbox.TimedOut))), Unsafe, "IPv4 on eth0: management is locked out"},
		{"analysis lets in, kernel does not", checks(allowed, ok, rehearsed(blocked, probe(allowed, sandbox.TimedOut))), Unknown, "the engines disagree"},
		{"analysis blocks, kernel does not", checks(blocked, ok, rehearsed(allowed, probe(blocked, sandbox.Established))), Unknown, "the engines disagree"},
		{"disagreement hides no other family", lost, Unsafe, "IPv6 on eth0: management from a part of its sources is locked out"},
		{"blocked elsewhere than tried", checks(blocked, ok, rehearsed(allowed, probe("", sandbox.Established))), Unsafe, "locked out"},
		{"a probe that was not tried", checks(allowed, ok, rehearsed(allowed, probe(allowed, sandbox.NotTried))), Safe, ""},
		{"the narrow hop alone", checks(allowed, ok, rehearsed(allowed, probe(allowed, sandbox.Established), narrow)), Safe, ""},
		{"conditional", checks(conditional, ok, rehearsed(allowed, probe("", sandbox.Established))), Unknown, "it depends"},
		{"conditional and blocked", checks(conditional, ok, rehearsed(blocked, probe("", sandbox.TimedOut))), Unsafe, "in the rehearsal management is locked out"},
		{"conditional on what was tried", native, Unsafe, "in the rehearsal management is locked out"},
		{"conditional, perhaps counted", limited, Unknown, "which may differ on the machine itself: f:3: it counts"},
		{"does not load", checks(conditional, fails, rehearsed(allowed)), Unknown, "does not load"},
		{"does not load, open", checks(allowed, fails, rehearsed(allowed)), Unknown, "does not load"},
		{"does not load, blocks", checks(blocked, fails, rehearsed(blocked)), Unsafe, "locked out"},
		{"load not known", checks(allowed, iptables.LoadUnknown, nil), Unknown, "may or may not load"},
		{"another file does not load", file, Unknown, "own.nft does not load: syntax"},
		{"a tunnel", tunnel, Unknown, "wg0 is a tunnel"},
		{"a family without an answer", two, Unknown, "only the rehearsal was asked"},
		{"rehearsal alone", alone, Unknown, "samples"},
		{"nothing asked", Report{}, Unknown, "no question"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conclude(&c.r)
			if c.r.Verdict != c.want || !strings.Contains(c.r.Reason, c.reason) {
				t.Errorf("%s: %s", c.r.Verdict, c.r.Reason)
			}
		})
	}
}

// TestNeverSafe walks all combinations: safe needs every one of them good.
func TestNeverSafe(t *testing.T) {
	for _, v := range []iptables.Verdict{iptables.Allowed, iptables.Blocked, iptables.Conditional, ""} {
		for _, l := range []iptables.Load{iptables.LoadOK, iptables.LoadFails, iptables.LoadUnknown, ""} {
			for _, rv := range []iptables.Verdict{iptables.Allowed, iptables.Blocked, ""} {
				for _, o := range []sandbox.Outcome{sandbox.Established, sandbox.TimedOut, sandbox.NoBanner, sandbox.NeighbourLost, sandbox.Stalled} {
					r := checks(v, l, rehearsed(rv, probe(v, o)))
					conclude(&r)
					good := v == iptables.Allowed && l == iptables.LoadOK && rv != iptables.Blocked && o == sandbox.Established
					if r.Verdict == Safe && !good {
						t.Errorf("safe with analysis %q, load %q, rehearsal %q, probe %q", v, l, rv, o)
					}
				}
			}
		}
	}
}
