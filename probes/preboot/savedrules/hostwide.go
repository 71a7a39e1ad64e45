package savedrules

import (
	"bytes"
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
)

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
func StripHostWide(name string, text []byte) (stripped []byte, notes []string) {
	stripped = text
	for r := (lex.LineReader{Rest: string(text)}); ; {
		from := len(text) - len(r.Rest)
		line, more := r.Next()
		if !more {
			return stripped, notes
		}
		words, target := hostWideWords(line)
		if target == "" {
			continue
		}
		if notes == nil {
			stripped = bytes.Clone(text)
		}
		for _, w := range words {
			for n := w.Col; n < w.End; n++ {
				stripped[from+n] = ' '
			}
		}
		notes = append(notes, fmt.Sprintf("%s:%d: -j %s left out of the rehearsal: it would touch the host", name, r.Line, target))
	}
}

// hostWideWords are the words of a line with which it jumps to a host-wide target, its
// options included; target is empty where it does not.
func hostWideWords(line string) (found []lex.Word, target string) {
	if line == "" || line[0] == '\n' {
		return nil, ""
	}
	args, _ := lex.SplitWords(nil, line, 0)
	if len(args) == 0 || strings.HasPrefix(args[0].Text, "#") {
		return nil, ""
	}
	for len(args) > 0 {
		name, n := jump(args)
		if _, ok := hostWide[name]; ok {
			target = name
		} else {
			n = optionWords(args[0].Text, target)
		}
		n = min(n, len(args))
		found = append(found, args[:n]...)
		args = args[max(n, 1):]
	}
	return found, target
}

// jump reads a -j or --jump at the head of args: its target and the number of
// words that it takes, 0 if there is none.
func jump(args []lex.Word) (target string, n int) {
	rest, short := shortOption(args[0].Text, 'j')
	if !short {
		var long bool
		if rest, long = longOption(args[0].Text, "--j", "--jump"); !long {
			return "", 0
		}
	}
	switch {
	case rest != "":
		return rest, 1
	case len(args) > 1:
		return args[1].Text, 2
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
