package command

import (
	"fmt"
	"path"
	"strings"
)

// Kind is what an effect does.
type Kind int

// What a command may do to the packet filter.
const (
	// Opaque changes the packet filter in a way that is not understood.
	Opaque Kind = iota
	// Restore loads a file by one of the iptables-restore tools.
	Restore
	// Nft loads a file by nft -f.
	Nft
	// NftFlush removes all of nftables' tables.
	NftFlush
	// IPSet loads a file by ipset restore.
	IPSet
	// Manager starts a firewall manager that is known by its program.
	Manager
)

// Effect is one thing that a command does to the packet filter.
type Effect struct {
	Kind Kind
	// Tool is the base name of the program, as it is called.
	Tool string
	// Args are its arguments, File the file that it reads ("" where it is not known).
	Args []string
	File string
	// NoFlush keeps the rules that stand, TestOnly loads nothing, and Table is the only
	// one of the file's tables that is loaded ("" for all).
	NoFlush, TestOnly bool
	Table             string
	// Conditional tells that whether it happens depends on what is not known.
	Conditional bool
	// Fatal tells that the command fails if this fails.
	Fatal bool
	// Script and Line are where it stands, "" and 0 for a command line.
	Script string
	Line   int
	// Text is the command as it is written.
	Text string
}

// At is where an effect is written.
func (e Effect) At() string {
	if e.Script == "" {
		return e.Text
	}
	return fmt.Sprintf("%s line %d", e.Script, e.Line)
}

// tools are the words that name a program which changes the packet filter.
var tools = []string{"iptables", "ip6tables", "nft", "ipset", "ebtables", "arptables", "ufw", "ufw-init", "firewall-cmd", "firewalld",
	"netfilter-persistent", "ferm", "shorewall", "csf", "conntrackd", "nftables", "iptables-apply"}

// Mentions tells whether a text names a program that changes the packet filter. A text
// that does not is taken to leave it alone.
func Mentions(text string) bool {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) {
		if isTool(w) {
			return true
		}
	}
	return false
}

func isTool(name string) bool {
	for _, t := range tools {
		if name == t || strings.HasPrefix(name, t+"-") {
			return true
		}
	}
	return false
}

// managers are programs that start a firewall which is known by its own files, with the
// argument that starts it ("" for none).
var managers = map[string]string{
	"netfilter-persistent": "start", "ufw-init": "start", "ufw": "enable", "iptables.init": "start", "ip6tables.init": "start",
	"ipset.start-stop": "start", "firewalld": "", "ferm": "", "shorewall": "start", "shorewall6": "start", "csf": "",
	"arno-iptables-firewall": "start",
}

// recognise is the effect of a program with its arguments, where it changes the packet
// filter. The file that it reads from standard input is stdin.
func recognise(argv []string, stdin string) (e Effect, ok bool) {
	tool := path.Base(argv[0])
	e = Effect{Tool: tool, Args: argv[1:], Text: strings.Join(argv, " ")}
	switch {
	case isRestore(tool):
		return e.restore(stdin), true
	case tool == "nft":
		return e.nft(stdin)
	case tool == "ipset":
		return e.ipset(stdin)
	}
	if arg, ok := managers[tool]; ok {
		e.Kind = Manager
		if arg != "" && (len(argv) < 2 || argv[1] != arg && argv[1] != "re"+arg && argv[1] != "force-reload") {
			return e, false // stops or asks
		}
		return e, true
	}
	if isTool(tool) && !onlyLists(argv) {
		return e, true // opaque
	}
	return e, false
}

// isRestore tells of iptables-restore in all its spellings.
func isRestore(tool string) bool {
	family, rest, ok := strings.Cut(tool, "-")
	return ok && (family == "iptables" || family == "ip6tables") && (rest == "restore" || rest == "nft-restore" || rest == "legacy-restore")
}

// restore reads the options of iptables-restore(8).
func (e Effect) restore(stdin string) Effect {
	e.Kind, e.File = Restore, stdin
	for i := 0; i < len(e.Args); i++ {
		a := e.Args[i]
		switch {
		case a == "-n", a == "--noflush":
			e.NoFlush = true
		case a == "-t", a == "--test":
			e.TestOnly = true
		case a == "-T", a == "--table", a == "-M", a == "--modprobe":
			if i++; i < len(e.Args) && (a == "-T" || a == "--table") {
				e.Table = e.Args[i]
			}
		case a == "-w", a == "--wait", a == "-W", a == "--wait-interval":
			if i+1 < len(e.Args) && strings.Trim(e.Args[i+1], "0123456789") == "" {
				i++
			}
		case a == "-c", a == "--counters", a == "-v", a == "--verbose", strings.HasPrefix(a, "--wait="), strings.HasPrefix(a, "-w"):
		case strings.HasPrefix(a, "-"), a == "<":
			e.Kind = Opaque
			return e
		default:
			e.File = a
		}
	}
	if e.File == "" {
		e.Kind = Opaque
	}
	return e
}

// nft reads the command line of nft(8).
func (e Effect) nft(stdin string) (Effect, bool) {
	e.File = stdin
	var words []string
	for i := 0; i < len(e.Args); i++ {
		switch a := e.Args[i]; {
		case a == "-f" || a == "--file":
			if i++; i < len(e.Args) {
				e.Kind, e.File = Nft, e.Args[i]
			}
		case a == "-c" || a == "--check":
			e.TestOnly = true
		case a == "-o" || a == "--optimize" || a == "-e" || a == "--echo" || a == "-a" || a == "-n" || a == "-s":
		case strings.HasPrefix(a, "-"):
			return e, true // opaque
		default:
			words = append(words, a)
		}
	}
	if e.File == "-" || e.File == "/dev/stdin" {
		e.File = stdin
	}
	switch text := strings.Join(words, " "); {
	case e.Kind == Nft && e.File == "":
		e.Kind = Opaque
	case e.Kind == Nft:
	case text == "flush ruleset":
		e.Kind = NftFlush
	case strings.HasPrefix(text, "list"):
		return e, false
	}
	return e, true
}

// ipset reads the command line of ipset(8).
func (e Effect) ipset(stdin string) (Effect, bool) {
	e.File = stdin
	verb := ""
	for i := 0; i < len(e.Args); i++ {
		switch a := e.Args[i]; {
		case a == "-f" || a == "-file":
			if i++; i < len(e.Args) {
				e.File = e.Args[i]
			}
		case strings.HasPrefix(a, "-") && a != "-R":
		case verb == "":
			verb = a
		}
	}
	switch verb {
	case "restore", "-R":
		if e.File != "" {
			e.Kind = IPSet
		}
		return e, true
	case "list", "save", "test", "version", "help":
		return e, false
	}
	return e, true
}

// onlyLists tells whether a tool of rules is only asked for them.
func onlyLists(argv []string) bool {
	tool := path.Base(argv[0])
	if strings.HasSuffix(tool, "-save") || strings.HasSuffix(tool, "-xml") || strings.HasSuffix(tool, "-translate") {
		return true
	}
	for _, a := range argv[1:] {
		switch {
		case a == "-L", a == "-S", a == "--list", a == "--list-rules", a == "-V", a == "--version", a == "-h", a == "status", a == "--state",
			a == "-C", a == "--check", strings.HasPrefix(a, "-nL"), strings.HasPrefix(a, "-L"), strings.HasPrefix(a, "-vnL"):
			return true
		}
	}
	return false
}
