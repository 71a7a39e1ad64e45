package preboot

import (
	"net/netip"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
)

// Schema is the version of the report's JSON form, which docs/preboot-schema.json
// describes. Keys may be added to a version; none changes or goes.
const Schema = 1

// Verdict is the answer as a whole.
type Verdict string

const (
	// Safe: the rules let management in, whatever packet of the question
	// comes, and nothing that was checked says otherwise.
	Safe Verdict = "safe"
	// Unsafe: management, or a part of it, would be locked out.
	Unsafe Verdict = "unsafe"
	// Unknown: neither could be shown. Not to be taken for safe.
	Unknown Verdict = "unknown"
)

// Status is the outcome of one check.
type Status string

const (
	// OK: the check found nothing against a reboot.
	OK Status = "ok"
	// Fail: the check found management locked out.
	Fail Status = "fail"
	// Unclear: the check could not decide.
	Unclear Status = "unknown"
)

// Report is the answer to `lifeline preboot`.
type Report struct {
	Schema  int     `json:"schema"`
	Verdict Verdict `json:"verdict"`
	// Reason is the verdict in one sentence.
	Reason string `json:"reason"`
	// Questions are what was asked, one per family and link.
	Questions []Asked `json:"questions"`
	// Files are what the answer rests on, in the order in which they load.
	Files  []FileStatus  `json:"files"`
	Checks []CheckResult `json:"checks"`
	// Assumptions are about the machine, not about a rule; any makes the
	// verdict unknown at best.
	Assumptions []iptables.Assumption `json:"assumptions"`
	// Boot is what the next boot does, where that was asked.
	Boot *BootReport `json:"boot,omitempty"`
	// LeftOut is evidence that the question does without: sources that there was no
	// room for, and what calls itself sshd and is no part of this host's.
	LeftOut []string `json:"left_out"`
	// Notes are worth knowing and change nothing.
	Notes []string `json:"notes"`
	// NotChecked names what no check covers.
	NotChecked []string `json:"not_checked"`
}

// Asked is one question and how it came about.
type Asked struct {
	Family  iptables.Family  `json:"family"`
	Backend iptables.Backend `json:"backend"`
	Iface   string           `json:"iface"`
	Dst     []netip.Addr     `json:"dst"`
	Ports   []uint16         `json:"ports"`
	Mgmt    []netip.Prefix   `json:"mgmt"`
	// How says where each part of the question comes from.
	How []string `json:"how"`
}

// FileStatus is a file and what the tool that loads it said.
type FileStatus struct {
	// Role is rules4, rules6, other4, other6, ipsets, nft or arptables.
	Role string `json:"role"`
	Path string `json:"path"`
	// Tool is the program that loaded it in the scratch namespace; empty if
	// none could.
	Tool  string        `json:"tool,omitempty"`
	Load  iptables.Load `json:"load"`
	Error string        `json:"error,omitempty"`
}

// CheckResult is the answer of one engine to one question.
type CheckResult struct {
	Name   Engine          `json:"name"`
	Family iptables.Family `json:"family"`
	Iface  string          `json:"iface"`
	Status Status          `json:"status"`
	// Summary is the check's outcome in one line.
	Summary   string        `json:"summary"`
	Load      iptables.Load `json:"load"`
	LoadError string        `json:"load_error,omitempty"`
	// LoadFrom says who judged the load: "tool" or "parser".
	LoadFrom string `json:"load_from"`
	// Verdict is empty where a rehearsal was not possible.
	Verdict        iptables.Verdict      `json:"verdict,omitempty"`
	Scope          iptables.Scope        `json:"scope"`
	Counterexample *iptables.Packet      `json:"counterexample,omitempty"`
	Trace          []iptables.TraceStep  `json:"trace,omitempty"`
	Assumptions    []iptables.Assumption `json:"assumptions,omitempty"`
	Warnings       []string              `json:"warnings,omitempty"`
	// Fixes are lines that would let management in.
	Fixes []Fix `json:"mend,omitempty"`
	// Probes are the connections of a rehearsal.
	Probes []ProbeResult `json:"probes,omitempty"`
}

// ProbeResult is one rehearsed connection.
type ProbeResult struct {
	Src   netip.Addr `json:"src"`
	SPort uint16     `json:"sport,omitempty"`
	Dst   netip.Addr `json:"dst"`
	Port  uint16     `json:"port"`
	// Via is "gateway", "link", or "narrow" for a way over a hop of 1280
	// bytes.
	Via    string          `json:"via"`
	Result sandbox.Outcome `json:"result"`
	// Expect is what the analysis said of this connection; empty where it
	// said nothing.
	Expect iptables.Verdict `json:"expect,omitempty"`
}

// Fix is one line that would help, and where it goes.
type Fix struct {
	// File is empty where no file helps and the text says what does.
	File string `json:"file"`
	// Line is the 1-based line to put the rule in front of; 0 means at the end
	// of the file.
	Line int `json:"line,omitempty"`
	// Rule is the line to add; empty where Text says it all.
	Rule string `json:"rule,omitempty"`
	// Text is the fix in words.
	Text string `json:"text"`
	// Tested says that the analysis allows management with all fixes of this
	// list in place.
	Tested bool `json:"tested"`
	// Complete is false where the lines of this list are not enough, as far as the
	// analysis can tell; nil where that is not asked.
	Complete *bool `json:"complete,omitempty"`
}

// newReport is a report without an answer: lists that are empty, and not null.
func newReport() Report {
	return Report{
		Schema: Schema, NotChecked: notChecked, LeftOut: []string{}, Notes: []string{}, Checks: []CheckResult{},
		Questions: []Asked{}, Files: []FileStatus{}, Assumptions: []iptables.Assumption{},
	}
}

// notChecked is what safe does not mean.
var notChecked = []string{
	"which files the boot really loads", "disk passphrase", "fstab", "directory logins", "firewalls upstream",
}
