// Command layers holds the rule that imports go one way. It reads
// `go list -json ./...` on standard input and lists every import within the
// module that the rule does not allow.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const module = "lifeline/"

// rule allows the packages under a path to import the listed ones; the first
// that fits a package counts. A path that ends in "/" stands for all below it.
type rule struct {
	from string
	may  []string
}

var core = []string{"watchdog", "watchdog/control"}

var rules = []rule{
	{"watchdog/control", nil},
	{"watchdog/lab", nil},
	{"watchdog/metrics", append([]string{"watchdog/alert", "watchdog/alert/"}, core...)},
	{"watchdog/web", append([]string{"watchdog/facts", "watchdog/alert", "watchdog/alert/", "watchdog/printable"}, core...)},
	{"watchdog/rtattr", nil},
	{"watchdog/sockdiag", append([]string{"watchdog/rtattr"}, core...)},
	{"watchdog/files", nil},
	{"watchdog/unit", nil},
	{"watchdog/printable", nil},
	{"watchdog/printable/", nil},
	{"watchdog/spelling", nil},
	{"watchdog/store", []string{"watchdog/files"}},
	{"watchdog/ledger", append([]string{"watchdog/files"}, core...)},
	{"watchdog/facts", []string{"watchdog/store"}},
	{"watchdog/engine", core},
	{"watchdog/alert/incident", append([]string{"watchdog/printable", "watchdog/spelling"}, core...)},
	{"watchdog/alert/spool", append([]string{"watchdog/alert/incident", "watchdog/store"}, core...)},
	{"watchdog/alert/notify", append([]string{"watchdog/alert/incident", "watchdog/alert/spool", "watchdog/files", "watchdog/printable", "watchdog/unit"}, core...)},
	{"watchdog/alert/alerttest", append([]string{"watchdog/alert/incident"}, core...)},
	{"watchdog/alert", append([]string{"watchdog/alert/incident", "watchdog/alert/spool", "watchdog/alert/notify", "watchdog/files", "watchdog/store", "watchdog/unit"}, core...)},
	{"watchdog/", core},
	{"watchdog", []string{"watchdog/control"}},
	{"probes/iptables/netfilter", nil},
	{"probes/iptables/tri", nil},
	{"probes/iptables/lex", nil},
	{"probes/iptables/rulegen", nil},
	{"probes/iptables/netset", []string{"probes/iptables/netfilter"}},
	{"probes/iptables/kernelmem", []string{"probes/iptables/lex", "probes/iptables/netset"}},
	{"probes/iptables/rules", []string{"probes/iptables/lex", "probes/iptables/netfilter", "probes/iptables/netset"}},
	{"probes/iptables/flow", []string{"probes/iptables/netfilter", "probes/iptables/netset", "probes/iptables/rules", "probes/iptables/tri"}},
	{"probes/iptables/nftables", []string{"probes/iptables/lex", "probes/iptables/netfilter", "probes/iptables/tri"}},
	{"probes/iptables/arptables", []string{"probes/iptables/lex", "probes/iptables/netfilter", "probes/iptables/tri"}},
	{"probes/iptables", []string{"probes/iptables/"}},
	{"probes/boot/remark", nil},
	{"probes/boot/rootfs", nil},
	{"probes/boot/roottest", []string{"probes/boot/rootfs"}},
	{"probes/boot/systemd", []string{"probes/boot/rootfs"}},
	{"probes/boot/command", []string{"probes/boot/rootfs"}},
	{"probes/boot/ifupdown", []string{"probes/boot/rootfs"}},
	{"probes/boot/sshd", []string{"probes/boot/remark", "probes/boot/rootfs", "probes/boot/systemd"}},
	{"probes/boot/netconf", []string{"probes/boot/ifupdown", "probes/boot/remark", "probes/boot/rootfs", "probes/boot/sshd", "probes/boot/systemd"}},
	{"probes/boot/firewall", []string{"probes/iptables/lex", "probes/boot/command", "probes/boot/ifupdown", "probes/boot/remark", "probes/boot/rootfs", "probes/boot/systemd"}},
	{"probes/boot", []string{"probes/boot/"}},
	{"probes/sshd", nil},
	{"probes/nic", append([]string{"watchdog/rtattr"}, core...)},
	{"probes/rsync/cmdline", nil},
	{"probes/rsync/procevents", nil},
	{"probes/rsync/proc", append([]string{"probes/rsync/cmdline"}, core...)},
	{"probes/rsync/sockets", append([]string{"probes/rsync/proc", "watchdog/sockdiag"}, core...)},
	{"probes/rsync/rsyncd", append([]string{"probes/rsync/proc", "probes/rsync/cmdline", "watchdog/files"}, core...)},
	{"probes/rsync/proctable", append([]string{"probes/rsync/sockets", "probes/rsync/proc", "probes/rsync/cmdline", "probes/sshd"}, core...)},
	{"probes/rsync/grouping", append([]string{"probes/rsync/proctable", "probes/rsync/sockets", "probes/rsync/proc", "probes/rsync/cmdline", "probes/sshd"}, core...)},
	{"probes/rsync/discovery", append([]string{"probes/rsync/grouping", "probes/rsync/proctable", "probes/rsync/sockets", "probes/rsync/proc", "probes/rsync/procevents"}, core...)},
	{"probes/rsync/proctest", append([]string{"probes/rsync/sockets", "probes/rsync/proc", "probes/sshd"}, core...)},
	{"probes/rsync", append([]string{"probes/rsync/", "watchdog/files", "watchdog/sockdiag"}, core...)},
	{"probes/preboot/savedrules", []string{"probes/iptables", "probes/iptables/lex", "watchdog/files"}},
	{"probes/preboot/hostinfo", []string{"probes/iptables", "probes/iptables/rules", "probes/sshd", "watchdog/files"}},
	{"probes/preboot/sandbox", []string{"probes/iptables", "probes/preboot/hostinfo"}},
	{"probes/preboot", []string{"probes/boot", "probes/boot/firewall", "probes/boot/remark", "probes/iptables", "probes/iptables/kernelmem", "probes/iptables/rules", "probes/preboot/", "watchdog/printable"}},
	{"probes/", core},
	{"remediate/remedy", core},
	{"remediate/roletest", nil},
	{"remediate/confinement", append([]string{"remediate/remedy"}, core...)},
	{"remediate/process", append([]string{"watchdog/ledger"}, core...)},
	{"remediate/sockopt", append([]string{"remediate/process", "watchdog/ledger", "watchdog/sockdiag"}, core...)},
	{"remediate/sysctl", append([]string{"remediate/remedy", "remediate/process", "watchdog/ledger"}, core...)},
	{"remediate/shaper", append([]string{"remediate/remedy", "remediate/process", "remediate/sockopt", "watchdog/ledger", "watchdog/rtattr"}, core...)},
	{"remediate/undo", append([]string{"remediate/process", "remediate/sockopt", "remediate/sysctl", "remediate/shaper", "watchdog/files", "watchdog/ledger"}, core...)},
	{"remediate/guard", append([]string{"remediate/remedy", "remediate/confinement", "remediate/process", "remediate/undo", "watchdog/ledger"}, core...)},
	{"remediate/trial", append([]string{"remediate/remedy", "remediate/confinement", "remediate/process", "remediate/sockopt"}, core...)},
	{"remediate/trial/trialtest", append([]string{"remediate/trial", "remediate/roletest", "remediate/process", "watchdog/ledger"}, core...)},
	{"remediate", append([]string{"remediate/", "watchdog/ledger"}, core...)},
	{"configs", append([]string{"probes/", "remediate", "remediate/", "watchdog/alert", "watchdog/alert/", "watchdog/engine", "watchdog/files", "watchdog/printable", "watchdog/spelling", "watchdog/unit"}, core...)},
	{"cmd/lifeline/scenario", []string{"watchdog/lab", "watchdog/web"}},
	{"cmd/lifeline/", []string{"watchdog", "watchdog/", "probes/", "remediate", "remediate/", "configs"}},
	{"cmd/lifeline", []string{"watchdog", "watchdog/", "probes/", "remediate", "remediate/", "configs", "cmd/lifeline/"}},
	{"cmd/dev/", []string{"watchdog", "watchdog/", "probes/", "remediate", "remediate/", "configs", "cmd/dev/", "cmd/lifeline/scenario"}},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func main() {
	bad, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "layers:", err)
		os.Exit(2)
	}
	for _, b := range bad {
		fmt.Println(b)
	}
	if len(bad) > 0 {
		os.Exit(1)
	}
}

// check lists the imports against the rule.
func check(r io.Reader) (bad []string, err error) {
	dec := json.NewDecoder(r)
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return bad, nil
		} else if err != nil {
			return nil, err
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rules, func(r rule) bool { return covers(r.from, from) })
		if i < 0 {
			bad = append(bad, fmt.Sprintf("%s: no layer is named for it", from))
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if ours && !slices.ContainsFunc(rules[i].may, func(m string) bool { return covers(m, to) }) {
				bad = append(bad, fmt.Sprintf("%s imports %s: %q may import only %q", from, to, rules[i].from, rules[i].may))
			}
		}
	}
}

func covers(pattern, path string) bool {
	if strings.HasSuffix(pattern, "/") {
		return strings.HasPrefix(path, pattern)
	}
	return pattern == path
}
