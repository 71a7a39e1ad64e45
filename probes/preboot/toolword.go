package preboot

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"lifeline/probes/iptables"
)

// word of a tool about a file that it was given.
type toolWord struct {
	load iptables.Load
	// message is the tool's own, in one line.
	message string
	line    int
	// doubtful says that the failure may come from where the tool ran, not
	// from the file: it counts only where the parser agrees.
	doubtful bool
}

// withheld is the word without what the tool quotes of a file of so many lines.
func (w toolWord) withheld(l loaded, lines int) toolWord {
	if w.line > lines {
		w.line = 0
	}
	switch {
	case w.load == iptables.LoadOK:
	case l.Tool == "" || l.Code <= 0:
		w.message = l.Err
	case w.line > 0:
		w.message = fmt.Sprintf("%s does not take line %d, which is not shown here: see the file", l.Tool, w.line)
	default:
		w.message = fmt.Sprintf("%s does not take it (exit code %d); what it says of the file is not shown here: run it there", l.Tool, l.Code)
	}
	return w
}

// told is the word as the analysis takes it; parser is the parser's own
// judgement.
func (w toolWord) told(parser iptables.Load) iptables.Told {
	load := w.load
	if w.doubtful && parser != iptables.LoadFails {
		load = iptables.LoadUnknown
	}
	return iptables.Told{Load: load, Error: w.message, Line: w.line}
}

// missingModule is what libxtables says of an extension that the kernel does
// not know, and goes on.
const missingModule = "missing kernel module"

func lacksModule(l loaded) bool { return strings.Contains(l.Stderr, missingModule) }

// Messages that speak of the kernel at hand or of missing rights, not of the
// file.
var elsewhere = []string{
	missingModule, "No child processes", "Permission denied", "Operation not permitted", "you must be root",
	"can't initialize", "Protocol not available", "Protocol not supported", "Operation not supported",
	"Could not open socket to kernel", "Kernel error", "incompatible", "Out of memory", "Cannot allocate memory",
	"failed to get bpf object", "Message too long", "Resource temporarily unavailable",
}

// Messages of the kernel's refusal of a rule that the tool had understood.
// Which it is depends on the kernel, and in a user namespace on the ids there.
var byKernel = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^line \d+: [A-Z_]+ failed \((.*)\)`),
	regexp.MustCompile(`(?m)restore: line \d+ failed$`),
}

// addOns are extensions that do not come with iptables: that this machine has
// none says little of another machine.
var addOns = regexp.MustCompile("Couldn't load (?:match|target) `(?:ACCOUNT|CHAOS|DELUDE|DHCPMAC|DNETMAP|ECHO|FULLCONENAT|IPMARK|LOGMARK|NDPI|NETFLOW|PROTO|RTPENGINE|SYSRQ|TARPIT|asn|condition|dhcpmac|fuzzy|geoip|gradm|iface|ipp2p|ipv4options|layer7|length2|lscan|ndpi|pknock|psd|quota2)'")

// crash is how a tool ends by an error of its own. Want of memory may look so
// too.
var crash = regexp.MustCompile("^signal: (?:segmentation fault|aborted|bus error|floating point exception)")

// understand reads what a tool left behind. Ids says whether the tool ran
// where every user id exists, here whether the question is about this machine.
func understand(l loaded, ids, here bool) toolWord {
	w := toolWord{message: oneLine(l.Stderr), line: errorLine(l.Stderr)}
	switch {
	case l.Tool != "" && crash.MatchString(l.Err):
		return toolWord{load: iptables.LoadFails, message: l.Err, doubtful: true}
	case l.Tool == "" || l.Code < 0:
		return toolWord{load: iptables.LoadUnknown, message: strings.TrimSpace(l.Err + " " + w.message)}
	case l.Code == 0:
		return toolWord{load: iptables.LoadOK}
	}
	w.load = iptables.LoadFails
	for _, m := range elsewhere {
		w.doubtful = w.doubtful || strings.Contains(l.Stderr, m)
	}
	for _, re := range byKernel {
		m := re.FindStringSubmatch(l.Stderr)
		w.doubtful = w.doubtful || m != nil && (!ids || len(m) < 2 || m[1] == "No such file or directory")
	}
	w.doubtful = w.doubtful || !here && addOns.MatchString(l.Stderr)
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
