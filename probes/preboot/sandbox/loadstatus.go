package sandbox

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"lifeline/probes/iptables"
)

// LoadStatus is whether a file loads, by what a tool said of it.
type LoadStatus struct {
	Load iptables.Load
	// Message is the tool's own, in one line.
	Message string
	// Line is the 1-based line of the file that it names, 0 if none.
	Line int
	// Doubtful says that the failure may come from where the tool ran, not
	// from the file: it counts only where the parser agrees.
	Doubtful bool
}

// Redact is the word without what the tool quotes of a file of so many lines.
func (w LoadStatus) Redact(l LoadResult, lines int) LoadStatus {
	if w.Line > lines {
		w.Line = 0
	}
	switch {
	case w.Load == iptables.LoadOK:
	case l.Tool == "" || l.Code <= 0:
		w.Message = l.Err
	case w.Line > 0:
		w.Message = fmt.Sprintf("%s does not take line %d, which is not shown here: see the file", l.Tool, w.Line)
	default:
		w.Message = fmt.Sprintf("%s does not take it (exit code %d); what it says of the file is not shown here: run it there", l.Tool, l.Code)
	}
	return w
}

// Told is the word as the analysis takes it; parser is the parser's own
// judgement.
func (w LoadStatus) Told(parser iptables.Load) iptables.Told {
	load := w.Load
	if w.Doubtful && parser != iptables.LoadFails {
		load = iptables.LoadUnknown
	}
	return iptables.Told{Load: load, Error: w.Message, Line: w.Line}
}

// missingModule is what libxtables says of an extension that the kernel does
// not know, and goes on.
const missingModule = "missing kernel module"

// LacksModule reports whether the kernel at hand lacks an extension that the file asks for.
func LacksModule(l LoadResult) bool { return strings.Contains(l.Stderr, missingModule) }

// Messages that speak of the kernel at hand or of missing rights, not of the
// file.
var hostMessages = []string{
	missingModule, "No child processes", "Permission denied", "Operation not permitted", "you must be root",
	"can't initialize", "Protocol not available", "Protocol not supported", "Operation not supported",
	"Could not open socket to kernel", "Kernel error", "incompatible", "Out of memory", "Cannot allocate memory",
	"failed to get bpf object", "Message too long", "Resource temporarily unavailable",
}

// Messages of the kernel's refusal of a rule that the tool had understood.
// Which it is depends on the kernel, and in a user namespace on the ids there.
var kernelMessages = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^line \d+: [A-Z_]+ failed \((.*)\)`),
	regexp.MustCompile(`(?m)restore: line \d+ failed$`),
}

// addOns are extensions that do not come with iptables: that this machine has
// none says little of another machine.
var addOns = regexp.MustCompile("Couldn't load (?:match|target) `(?:ACCOUNT|CHAOS|DELUDE|DHCPMAC|DNETMAP|ECHO|FULLCONENAT|IPMARK|LOGMARK|NDPI|NETFLOW|PROTO|RTPENGINE|SYSRQ|TARPIT|asn|condition|dhcpmac|fuzzy|geoip|gradm|iface|ipp2p|ipv4options|layer7|length2|lscan|ndpi|pknock|psd|quota2)'")

// crash is how a tool ends by an error of its own. Want of memory may look so
// too.
var crash = regexp.MustCompile("^signal: (?:segmentation fault|aborted|bus error|floating point exception)")

// StatusOf reads what a tool left behind. Ids says whether the tool ran
// where every user id exists, here whether the question is about this machine.
func StatusOf(l LoadResult, ids, here bool) LoadStatus {
	w := LoadStatus{Message: oneLine(l.Stderr), Line: errorLine(l.Stderr)}
	switch {
	case l.Tool != "" && crash.MatchString(l.Err):
		return LoadStatus{Load: iptables.LoadFails, Message: l.Err, Doubtful: true}
	case l.Tool == "" || l.Code < 0:
		return LoadStatus{Load: iptables.LoadUnknown, Message: strings.TrimSpace(l.Err + " " + w.Message)}
	case l.Code == 0:
		return LoadStatus{Load: iptables.LoadOK}
	}
	w.Load = iptables.LoadFails
	for _, m := range hostMessages {
		w.Doubtful = w.Doubtful || strings.Contains(l.Stderr, m)
	}
	for _, re := range kernelMessages {
		m := re.FindStringSubmatch(l.Stderr)
		w.Doubtful = w.Doubtful || m != nil && (!ids || len(m) < 2 || m[1] == "No such file or directory")
	}
	w.Doubtful = w.Doubtful || !here && addOns.MatchString(l.Stderr)
	return w
}

// Lines are named in several ways: by the option parser, by the back ends, and
// at the end of the file.
var errorLines = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^Error occurred at line: (\d+)`),
	regexp.MustCompile(`(?m)^line (\d+): `),
	regexp.MustCompile(`line (\d+) failed`),
	regexp.MustCompile(`(?m)^[^:\n]*:(\d+):\d+-\d+: Error`), // nft
	regexp.MustCompile(`[Ll]ine:? (\d+)`),
}

// errorLine is the line of the file that a tool's message names, 0 if none.
func errorLine(stderr string) int {
	for _, re := range errorLines {
		if m := re.FindStringSubmatch(stderr); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				return n
			}
		}
	}
	return 0
}

var toolPrefix = regexp.MustCompile(`^[a-z0-9-]+ v[0-9.]+ \([a-z_]+\): *`)

// oneLine makes one line of a tool's message, without its name, without
// advice.
func oneLine(stderr string) string {
	var parts []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(toolPrefix.ReplaceAllString(strings.TrimSpace(line), ""))
		if line == "" || strings.HasPrefix(line, "Try `") {
			continue
		}
		parts = append(parts, line)
	}
	s := strings.Join(parts, "; ")
	if len(s) > 300 {
		s = s[:297] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
