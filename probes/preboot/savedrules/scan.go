package savedrules

import (
	"bytes"
	"fmt"
	"strings"
)

// word is one argument of a rule line, as the restore tools split it.
type word struct {
	text string
	// from and to are its byte range in the line, quotes included.
	from, to int
}

// words splits a rule line like the restore tools do (add_param_to_argv in xshared.c
// of iptables): blanks separate, double quotes group, inside them a backslash takes the
// next byte as it is, and a closing quote ends the argument, so that "a"b are two.
func words(line []byte) []word {
	var out []word
	var cur []byte
	start, quoted := -1, false
	end := func(i int) {
		if start >= 0 {
			out = append(out, word{string(cur), start, i})
		}
		start, cur = -1, nil
	}
	line = bytes.TrimSuffix(line, []byte("\n")) // no quote reaches beyond it
	for i := 0; i < len(line); i++ {
		c := line[i]
		if !quoted && (c == ' ' || c == '\t') {
			end(i)
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case quoted && c == '\\' && i+1 < len(line):
			i++
			cur = append(cur, line[i])
		case quoted && c == '"':
			quoted = false
			end(i + 1)
		case c == '"':
			quoted = true
		default:
			cur = append(cur, c)
		}
	}
	end(len(line))
	return out
}

// textOptions take free text: what follows them is never an option.
var textOptions = map[string]bool{"--comment": true, "--log-prefix": true, "--nflog-prefix": true, "--ulog-prefix": true}

// loneFlags are the short options of the restore tools without an argument;
// in a cluster others may follow them.
const loneFlags = "bfvnxwWh46LSFZXV"

// shortOption looks for the short option c in an argument, also behind others
// in a cluster; rest is what follows it in the same word.
func shortOption(arg string, c rune) (rest string, found bool) {
	if len(arg) < 2 || arg[0] != '-' || arg[1] == '-' {
		return "", false
	}
	for i, r := range arg[1:] {
		if r == c {
			return arg[1+i+len(string(r)):], true
		}
		if !strings.ContainsRune(loneFlags, r) {
			return "", false // the rest is this option's argument
		}
	}
	return "", false
}

// longOption recognises a long option, abbreviated as getopt_long accepts it
// but never shorter than least.
func longOption(arg, least, full string) (rest string, found bool) {
	name, rest, _ := strings.Cut(arg, "=")
	return rest, strings.HasPrefix(name, least) && strings.HasPrefix(full, name)
}

// namesProgram reports whether an argument makes a restore tool run a program
// of the file's choice.
func namesProgram(arg string) bool {
	_, short := shortOption(arg, 'M')
	_, long := longOption(arg, "--mo", "--modprobe")
	return short || long
}

// refuseProgram returns an error that names the first line of a rule file
// with which the file would run a program, and the program unless it is withheld.
func refuseProgram(name string, text []byte, withheld bool) error {
	i := -1
	for line := range bytes.Lines(text) {
		if i++; line[0] == '#' || line[0] == '\n' {
			continue
		}
		args := words(line)
		for j, w := range args {
			if j > 0 && textOptions[args[j-1].text] {
				continue
			}
			if namesProgram(w.text) {
				what := " (" + w.text + ")"
				if withheld {
					what = ""
				}
				return fmt.Errorf("%s:%d: the rule names a program to run%s: not loaded, not even in the scratch namespace", name, i+1, what)
			}
		}
	}
	return nil
}

// hostWide are targets that let a packet go on and touch things that no
// network namespace contains: timers and LED triggers under /sys, the audit
// log. The value lists their options; those with an argument end in "=".
var hostWide = map[string][]string{
	"IDLETIMER": {"--timeout=", "--label=", "--alarm", "--send_nl_msg="},
	"LED":       {"--led-trigger-id=", "--led-delay=", "--led-always-blink"},
	"AUDIT":     {"--type="},
}

// StripHostWide blanks the host-wide targets out of a rule file, so that
// every line keeps its number, and returns one note per changed line.
func StripHostWide(name string, text []byte) ([]byte, []string) {
	var notes []string
	out := text
	i, at := 0, 0
	for line := range bytes.Lines(text) {
		from := at
		i, at = i+1, at+len(line)
		if line[0] == '\n' {
			continue
		}
		stripped, target := stripTarget(line)
		if target == "" {
			continue
		}
		if notes == nil {
			out = bytes.Clone(text)
		}
		copy(out[from:at], stripped) // as long as the line was
		notes = append(notes, fmt.Sprintf("%s:%d: -j %s left out of the rehearsal: it would touch the host", name, i, target))
	}
	return out, notes
}

// stripTarget blanks a host-wide target and its options; target is empty
// where the line has none.
func stripTarget(line []byte) (stripped []byte, target string) {
	args := words(line)
	if len(args) == 0 || strings.HasPrefix(args[0].text, "#") {
		return line, ""
	}
	out := bytes.Clone(line)
	blank := func(w word) { copy(out[w.from:w.to], bytes.Repeat([]byte(" "), w.to-w.from)) }
	for i := 0; i < len(args); i++ {
		name, n := jump(args[i:])
		if _, ok := hostWide[name]; ok {
			target = name
		} else {
			n = optionWords(args[i].text, target)
		}
		for ; n > 0 && i < len(args); n-- {
			blank(args[i])
			if n > 1 {
				i++
			}
		}
	}
	return out, target
}

// jump reads a -j or --jump at the head of args: its target and the number of
// words that it takes, 0 if there is none.
func jump(args []word) (target string, n int) {
	rest, short := shortOption(args[0].text, 'j')
	if !short {
		var long bool
		if rest, long = longOption(args[0].text, "--j", "--jump"); !long {
			return "", 0
		}
	}
	switch {
	case rest != "":
		return rest, 1
	case len(args) > 1:
		return args[1].text, 2
	}
	return "", 0
}

// optionWords says how many words an option of the target takes, 0 if the
// argument is none of its options.
func optionWords(arg, target string) int {
	for _, o := range hostWide[target] {
		name, withArg := strings.CutSuffix(o, "=")
		switch {
		case arg == name && withArg:
			return 2
		case arg == name || withArg && strings.HasPrefix(arg, o):
			return 1
		}
	}
	return 0
}
