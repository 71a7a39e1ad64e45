package iptables

import (
	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/rules"
)

// The words of questions and answers, which the packages beneath this one share. They
// are named here so that who asks needs this package alone.
type (
	// Family is an address family: IPv4 or IPv6.
	Family = netfilter.Family
	// Backend is one of the two iptables back ends: NFT or Legacy.
	Backend = netfilter.Backend
	// Packet is an example packet, as it looks at the hook that decides its fate.
	Packet = netfilter.Packet
	// TraceStep is a rule, chain policy or decision of the kernel that acted on the example.
	TraceStep = netfilter.TraceStep
	// Assumption is something that a verdict depends on and that the files do not say.
	Assumption = netfilter.Assumption
	// Load says whether the restore tool of the boot would load the files.
	Load = rules.Load
	// Names are the tables of services, protocols, users and groups of a machine.
	Names = rules.Names
	// Verdict answers a Question.
	Verdict = flow.Verdict
	// Scope says how much of the question a Blocked verdict covers.
	Scope = flow.Scope
	// Probe is a connection worth trying in a rehearsal.
	Probe = flow.Probe
)

// Their values.
const (
	IPv4   = netfilter.IPv4
	IPv6   = netfilter.IPv6
	NFT    = netfilter.NFT
	Legacy = netfilter.Legacy

	LoadOK      = rules.LoadOK
	LoadFails   = rules.LoadFails
	LoadUnknown = rules.LoadUnknown

	Allowed     = flow.Allowed
	Blocked     = flow.Blocked
	Conditional = flow.Conditional

	ScopeAll  = flow.ScopeAll
	ScopePart = flow.ScopePart
	ScopeNone = flow.ScopeNone
)
