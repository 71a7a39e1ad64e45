package iptables

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ruleCase is one file of testdata/cases: a header of "key: value" lines, then
// parts that begin with "-- name --".
//
//	mgmt: 10.0.0.0/8            (also dst, port, iface, family, host as JSON)
//	want: BLOCKED part          for both back ends, or "want nft:", "want legacy:"
//	load: fails                 ok if left out; also "load nft:" ...
//	drops: 7                    the last line of the trace
//	leg: SYN/ACK                the packet of the counter-example
//	assumes: limit recent       names that are among the assumptions
type ruleCase struct {
	head  map[string]string
	parts map[string]string
}

func readCase(t *testing.T, name string) ruleCase {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c := ruleCase{map[string]string{}, map[string]string{}}
	head, body, _ := strings.Cut(string(text), "\n-- ")
	for line := range strings.Lines(head) {
		if k, v, ok := strings.Cut(line, ": "); ok && line[0] != '#' {
			c.head[k] = strings.TrimSpace(v)
		}
	}
	for part := range strings.SplitSeq(body, "\n-- ") {
		if n, content, ok := strings.Cut(part, " --\n"); ok {
			c.parts[n] = content + "\n"
		}
	}
	return c
}

func (c ruleCase) get(key string, b Backend, def string) string {
	for _, k := range []string{key + " " + string(b), key} {
		if v, ok := c.head[k]; ok {
			return v
		}
	}
	return def
}

func (c ruleCase) question(t *testing.T, b Backend) Question {
	t.Helper()
	q := Question{Family: IPv4, Backend: b, Iface: c.get("iface", b, "eth0")}
	dst := "192.0.2.10"
	if c.get("family", b, "4") == "6" {
		q.Family, dst = IPv6, "2001:db8:1::10"
	}
	for s := range strings.FieldsSeq(c.get("dst", b, dst)) {
		q.Dst = append(q.Dst, netip.MustParseAddr(s))
	}
	for s := range strings.FieldsSeq(c.get("port", b, "22")) {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		q.Ports = append(q.Ports, uint16(n))
	}
	for s := range strings.FieldsSeq(c.get("mgmt", b, "")) {
		q.Mgmt = append(q.Mgmt, netip.MustParsePrefix(s))
	}
	host := c.get("host", b, fmt.Sprintf(`{"links":[{"name":"eth0","addresses":["%s/%d"]}]}`, q.Dst[0], q.Dst[0].BitLen()*3/4))
	h, err := DecodeHost("host", []byte(host))
	if err != nil {
		t.Fatal(err)
	}
	q.Host = h
	return q
}

func (c ruleCase) inputs() Inputs {
	in := Inputs{Names: Names{Users: map[string]uint32{"root": 0}, Groups: map[string]uint32{"root": 0}}}
	file := func(part string) *File {
		text, ok := c.parts[part]
		if !ok {
			return nil
		}
		return &File{Name: part, Text: []byte(text), NoFlush: strings.HasPrefix(part, "more")}
	}
	for _, n := range []string{"rules", "more", "more2"} {
		if f := file(n); f != nil {
			in.Rules = append(in.Rules, *f)
		}
	}
	if f := file("other"); f != nil {
		in.Other = append(in.Other, *f)
	}
	if f := file("nft"); f != nil {
		in.NFT = append(in.NFT, *f)
	}
	in.IPSets, in.ARP = file("ipsets"), file("arp")
	return in
}

// TestCases answers the questions of testdata/cases on both back ends.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, f := range files {
		c := readCase(t, f)
		for _, b := range []Backend{NFT, Legacy} {
			t.Run(strings.TrimSuffix(filepath.Base(f), ".txt")+"/"+string(b), func(t *testing.T) { c.check(t, b) })
		}
	}
}

func (c ruleCase) check(t *testing.T, b Backend) {
	r := Analyse(c.question(t, b), c.inputs())
	text, _ := json.MarshalIndent(r, "", " ")
	verdict, scope, _ := strings.Cut(c.get("want", b, ""), " ")
	if string(r.Verdict) != verdict || string(r.Scope) != scope {
		t.Errorf("want %s %s, got %s", verdict, scope, text)
	}
	if load := c.get("load", b, "ok"); string(r.Load) != load {
		t.Errorf("want load %s, got %s", load, text)
	}
	if want := c.get("drops", b, ""); want != "" {
		if len(r.Trace) == 0 || fmt.Sprint(r.Trace[len(r.Trace)-1].Line) != want {
			t.Errorf("want the drop on line %s, got %s", want, text)
		}
	}
	if want := c.get("leg", b, ""); want != "" && (r.Counterexample == nil || r.Counterexample.Step != want) {
		t.Errorf("want a %s as example, got %s", want, text)
	}
	for want := range strings.FieldsSeq(c.get("assumes", b, "")) {
		if !slices.ContainsFunc(r.Assumptions, func(a Assumption) bool { return a.Name == want }) {
			t.Errorf("want assumption %q, got %s", want, text)
		}
	}
	if want := c.get("warns", b, ""); want != "" && !strings.Contains(strings.Join(r.Warnings, "\n"), want) {
		t.Errorf("want a warning of %q, got %s", want, text)
	}
	if r.Verdict == Blocked && r.Counterexample == nil {
		t.Error("blocked without an example")
	}
}
