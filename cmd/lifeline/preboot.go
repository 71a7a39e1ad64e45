package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot"
	"lifeline/probes/preboot/sandbox"
)

const prebootLong = `Before a reboot: would the saved firewall rules let management in?

Every packet of every management source is followed through the rules, and the
rules are loaded into a scratch network namespace where real connections are
tried. The answer is safe, unsafe or unknown; unknown is not safe. Nothing of
this host is changed.

Without options the question comes from this host: the peers of its ssh
sessions, now and remembered, sshd's ports, the links that lead there, and the
usual saved files. A question about another machine names the link and the
sources; --link or --host describe that machine.

Exit codes: 0 safe, 1 unsafe, 2 unknown, 3 wrong usage or configuration.`

const prebootExample = `  lifeline preboot
  lifeline preboot --mgmt 10.0.0.0/8,2001:db8::/48
  lifeline preboot --describe-host > web1.json
  lifeline preboot --root / --mgmt 10.0.0.0/8
  lifeline preboot --host web1.json --backend nft --iface eth0 --dst 192.0.2.10 \
      --mgmt 10.0.0.0/8 --rules4 new-rules.v4`

// prebootFlags are the options of `lifeline preboot`, as they were typed.
type prebootFlags struct {
	json, describe       bool
	checks, backend      string
	iface, host, state   string
	root                 string
	families             []int
	dst, mgmt            []string
	ports                []uint
	rules4, rules6, link []string
}

func newPrebootCommand() *cobra.Command {
	var f prebootFlags
	cmd := &cobra.Command{
		Use: "preboot", Short: "Tell whether the saved firewall rules let management in after a reboot",
		Long: prebootLong, Example: prebootExample, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.json, "json", false, "print the answer as JSON (docs/preboot-schema.json)")
	fl.BoolVar(&f.describe, "describe-host", false, "print a description of this host for --host, and check nothing")
	fl.StringVar(&f.checks, "checks", "analysis,rehearsal", "`ENGINES` to ask: analysis, rehearsal or both")
	fl.IntSliceVar(&f.families, "family", nil, "address `FAMILY` to ask about, 4 or 6 (default: those of the sources)")
	fl.StringVar(&f.backend, "backend", "", "`BACKEND` that loads the rules at boot, nft or legacy (default: this host's)")
	fl.StringVar(&f.iface, "iface", "", "`LINK` that management arrives on (default: by the routes)")
	fl.StringSliceVar(&f.dst, "dst", nil, "`ADDRESS` that clients connect to (default: those of the link)")
	fl.UintSliceVar(&f.ports, "port", nil, "TCP `PORT` that clients connect to (default: sshd's)")
	fl.StringSliceVar(&f.mgmt, "mgmt", nil, "management `SOURCE`, an address or a network (default: peers of ssh sessions)")
	fl.StringArrayVar(&f.rules4, "rules4", nil, "`FILE` that iptables-restore loads (default: the usual saved files)")
	fl.StringArrayVar(&f.rules6, "rules6", nil, "`FILE` that ip6tables-restore loads (default: the usual saved files)")
	fl.StringArrayVar(&f.link, "link", nil, "a link of the machine in question, as `NAME=ADDR/LEN[,ADDR/LEN]`; repeatable")
	fl.StringVar(&f.host, "host", "", "JSON `FILE` that describes the machine in question; files that it names are relative to it, and must come along")
	fl.StringVar(&f.root, "root", "", "answer for the next boot of the root file system in `DIR`, by what its units start and load (/ for this host)")
	fl.StringVar(&f.state, "state-dir", "/var/lib/lifeline", "`DIR` where sources of ssh sessions are remembered")
	cmd.AddCommand(newRehearsalChildCommand())
	return cmd
}

// newRehearsalChildCommand is how the program starts itself inside the
// namespaces of a rehearsal.
func newRehearsalChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: sandbox.ChildArgs[len(sandbox.ChildArgs)-1], Hidden: true, Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return sandbox.RunChild(os.Stdin, os.Stdout) },
	}
}

func (f *prebootFlags) run(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	if err := f.checkGiven(cmd.Flags()); err != nil {
		return usage(err)
	}
	if f.describe {
		h, err := preboot.DescribeHost()
		if err != nil {
			return err
		}
		return printJSON(out, h)
	}
	o, err := f.options()
	if err != nil {
		return usage(err)
	}
	r, err := preboot.Check(cmd.Context(), o)
	var wrong *preboot.UsageError
	switch {
	case errors.As(err, &wrong):
		return usage(err)
	case err != nil:
		return &exitError{exitUnknown, err}
	case f.json:
		err = printJSON(out, r)
	default:
		err = r.Text(out, colourful(out))
	}
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	switch r.Verdict {
	case preboot.Safe:
		return nil
	case preboot.Unsafe:
		return &exitError{exitFailed, nil}
	}
	return &exitError{exitUnknown, nil}
}

// checkGiven refuses options that were given and say nothing, as a script does
// whose variable is not set: what they were to narrow would go unasked.
func (f *prebootFlags) checkGiven(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(fl *pflag.Flag) {
		switch v := strings.Trim(fl.Value.String(), `[]"`); {
		case err != nil || fl.Name == "state-dir":
		case v == "":
			err = fmt.Errorf("--%s is empty: leave it out, or give it a value", fl.Name)
		case f.describe && fl.Name != "describe-host" && fl.Name != "json":
			err = fmt.Errorf("--describe-host describes this host, and --%s asks a question: give one of them", fl.Name)
		}
	})
	return err
}

// options reads what was typed; an error names the option.
func (f *prebootFlags) options() (preboot.Options, error) {
	o := preboot.Options{
		Backend: iptables.Backend(f.backend), Iface: f.iface, Rules4: f.rules4, Rules6: f.rules6, HostFile: f.host, Root: f.root, StateDir: f.state,
	}
	var err error
	if o.Engines, err = preboot.ParseEngines(f.checks); err != nil {
		return o, fmt.Errorf("--checks: %w", err)
	}
	for _, n := range f.families {
		o.Families = append(o.Families, iptables.Family(n))
	}
	for _, s := range f.dst {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return o, fmt.Errorf("--dst: %q is not an address", s)
		}
		o.Dst = append(o.Dst, a)
	}
	for _, n := range f.ports {
		if n == 0 || n > 65535 {
			return o, fmt.Errorf("--port: %d is not a port (1 to 65535)", n)
		}
		o.Ports = append(o.Ports, uint16(n))
	}
	for _, s := range f.mgmt {
		p, err := preboot.ParseMgmt(s)
		if err != nil {
			return o, fmt.Errorf("--mgmt: %w", err)
		}
		o.Mgmt = append(o.Mgmt, p)
	}
	for _, s := range f.link {
		l, err := preboot.ParseLink(s)
		if err != nil {
			return o, fmt.Errorf("--link: %w", err)
		}
		o.Links = append(o.Links, l)
	}
	return o, nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// colourful reports whether w is a terminal whose user wants colours
// (no-color.org).
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
