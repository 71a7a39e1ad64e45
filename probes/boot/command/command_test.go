package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/boot/roottest"
)

var kinds = map[Kind]string{Opaque: "opaque", Restore: "restore", Nft: "nft", NftFlush: "nft-flush", IPSet: "ipset", Manager: "manager"}

// describe is an effect in one line.
func describe(e Effect) string {
	out := kinds[e.Kind] + " " + e.Tool + " " + e.File
	for _, f := range []struct {
		set  bool
		name string
	}{{e.NoFlush, "noflush"}, {e.TestOnly, "test"}, {e.Table != "", "table=" + e.Table}, {e.Conditional, "conditional"}, {e.Fatal, "fatal"}} {
		if f.set {
			out += " " + f.name
		}
	}
	if e.Script != "" {
		out += fmt.Sprintf(" (%s:%d)", e.Script, e.Line)
	}
	return out
}

const scripts = `
-- etc/rules --
*filter
COMMIT
-- usr/local/sbin/fw.sh 0755 --
#!/bin/sh -e
# loads the rules
RULES=/etc/rules
if [ -f "$RULES" ]; then
	iptables-restore <"$RULES"
fi
-- usr/local/sbin/opaque.py 0755 --
#!/usr/bin/python3
import subprocess; subprocess.run(["iptables", "-F"])
-- usr/local/sbin/outer 0755 --
#!/bin/bash
echo loading
fw.sh
-- usr/local/sbin/binary 0755 --
ELF iptables
-- usr/local/sbin/loop 0755 --
#!/bin/sh
/usr/local/sbin/loop; iptables-restore /etc/rules
`

func TestShell(t *testing.T) {
	tree := roottest.Tree(t, scripts)
	for text, want := range map[string][]string{
		"iptables-restore < /etc/rules":                        {"restore iptables-restore /etc/rules fatal (f:1)"},
		"/sbin/ip6tables-legacy-restore -n /etc/rules":         {"restore ip6tables-legacy-restore /etc/rules noflush fatal (f:1)"},
		"iptables-restore -t < /etc/rules":                     {"restore iptables-restore /etc/rules test fatal (f:1)"},
		"iptables-restore -T nat /etc/rules || true":           {"restore iptables-restore /etc/rules table=nat (f:1)"},
		"iptables-restore /etc/rules; exit 0":                  {"restore iptables-restore /etc/rules (f:1)"},
		"iptables-restore /etc/rules || exit 1; echo x":        {"restore iptables-restore /etc/rules fatal (f:1)"},
		"iptables-restore /a || iptables-restore /b":           {"restore iptables-restore /a (f:1)", "restore iptables-restore /b conditional fatal (f:1)"},
		"set -e\niptables-restore /a\necho done":               {"restore iptables-restore /a fatal (f:2)"},
		"cat /etc/rules | iptables-restore":                    {"restore iptables-restore /etc/rules fatal (f:1)"},
		"/usr/bin/env X=1 nice -n 5 iptables-restore /a":       {"restore iptables-restore /a fatal (f:1)"},
		"nft -f /etc/nftables.conf":                            {"nft nft /etc/nftables.conf fatal (f:1)"},
		"nft flush ruleset":                                    {"nft-flush nft  fatal (f:1)"},
		"ipset restore -exist -f /etc/sets":                    {"ipset ipset /etc/sets fatal (f:1)"},
		"ufw-init start quiet":                                 {"manager ufw-init  fatal (f:1)"},
		"netfilter-persistent stop":                            nil,
		"iptables -A INPUT -j DROP":                            {"opaque iptables  fatal (f:1)"},
		"iptables -S; iptables-save >/dev/null; nft list sets": nil,
		"[ -f /etc/gone ] && iptables-restore /etc/gone":       nil,
		"[ ! -f /etc/gone ] && iptables-restore /a":            {"restore iptables-restore /a fatal (f:1)"},
		"[ -d /run/x ] && iptables-restore /a":                 {"restore iptables-restore /a conditional fatal (f:1)"},
		"test -x /etc/rules || exit 0; iptables-restore /a":    nil,
		"iptables-restore < $RULES":                            {"opaque   fatal (f:1)"},
		"iptables-restore < $(ls /etc/*.rules)":                {"opaque   fatal (f:1)"},
		"for i in a b; do iptables -I INPUT -s $i; done":       {"opaque   fatal (f:1)"},
		"if grep -q x /etc/y; then iptables-restore /a; fi":    {"restore iptables-restore /a conditional fatal (f:1)"},
		"iptables-restore <<X\n*filter\nCOMMIT\nX":             {"opaque   fatal (f:1)"},
		"if then iptables":                                     {"opaque   fatal (f:1)"},
		"if then nothing":                                      nil,
		"fw.sh":                                                {"restore iptables-restore /etc/rules fatal (/usr/local/sbin/fw.sh:5)"},
		"outer":                                                {"restore iptables-restore /etc/rules fatal (/usr/local/sbin/fw.sh:5)"},
		"sh /usr/local/sbin/fw.sh || true":                     {"restore iptables-restore /etc/rules (/usr/local/sbin/fw.sh:5)"},
		"sh -c 'iptables-restore < /a'":                        {"restore iptables-restore /a fatal (f:1)"},
		"opaque.py":                                            {"opaque   fatal (/usr/local/sbin/opaque.py:1)"},
		"binary; gone.sh; echo iptables is fine":               nil,
		"exit 0; iptables-restore /a":                          nil,
		"exec iptables-restore /a; nft flush ruleset":          {"restore iptables-restore /a fatal (f:1)"},
	} {
		var got []string
		for _, e := range Shell(tree, text, "f", 1) {
			got = append(got, describe(e))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", text, got, want)
		}
	}
}

func TestScriptsThatCallEachOtherEnd(t *testing.T) {
	got := Shell(roottest.Tree(t, scripts), "loop", "f", 1)
	if len(got) == 0 {
		t.Error("nothing is told of it")
	}
	for _, e := range got {
		if e.Kind != Opaque && e.Kind != Restore {
			t.Errorf("%s", describe(e))
		}
	}
}

// TestExecHasNoShell: a redirection is an argument there, which the tool refuses.
func TestExecHasNoShell(t *testing.T) {
	tree := roottest.Tree(t, scripts)
	got := Exec(tree, strings.Fields("/usr/sbin/iptables-restore < /etc/rules"))
	if len(got) != 1 || got[0].Kind != Opaque {
		t.Errorf("%v", got)
	}
	got = Exec(tree, strings.Fields("/usr/sbin/iptables-restore -w 5 /etc/rules"))
	if len(got) != 1 || got[0].Kind != Restore || got[0].File != "/etc/rules" {
		t.Errorf("%v", got)
	}
}

func FuzzShell(f *testing.F) {
	tree := roottest.Tree(f, scripts)
	f.Add("a && b || { c; } | d")
	f.Add("if [ -f /etc/rules ]; then . /usr/local/sbin/fw.sh; fi")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range Shell(tree, text, "f", 1) {
			if (e.Kind == Restore || e.Kind == Nft) && e.File == "" {
				t.Errorf("%q reads no file: %+v", text, e)
			}
		}
	})
}
