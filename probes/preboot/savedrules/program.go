package savedrules

import (
	"fmt"
	"strings"

	"lifeline/probes/iptables/lex"
)

// textOptions take free text: what follows them is never an option.
var textOptions = map[string]bool{"--comment": true, "--log-prefix": true, "--nflog-prefix": true, "--ulog-prefix": true}

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
	for r := (lex.LineReader{Rest: string(text)}); ; {
		line, more := r.Next()
		if !more {
			return nil
		}
		option := programOption(line)
		switch {
		case option == "":
			continue
		case withheld:
			option = ""
		default:
			option = " (" + option + ")"
		}
		return fmt.Errorf("%s:%d: the rule names a program to run%s: not loaded, not even in the scratch namespace", name, r.Line, option)
	}
}

// programOption is the argument of a line that names a program to run, empty if none does.
func programOption(line string) string {
	if line == "" || line[0] == '#' || line[0] == '\n' {
		return ""
	}
	args, _ := lex.SplitWords(nil, line, 0) // the tool reads no further than a mistake either
	for i, w := range args {
		if (i == 0 || !textOptions[args[i-1].Text]) && namesProgram(w.Text) {
			return w.Text
		}
	}
	return ""
}

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
