package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// offline is a question about a machine that is not this one.
func offline(rules string) []string {
	return []string{"preboot", "--family", "4", "--backend", "nft", "--iface", "eth0", "--dst", "192.0.2.10", "--port", "22",
		"--mgmt", "10.0.0.0/8", "--link", "eth0=192.0.2.10/24", "--rules4", rules}
}

// runPreboot runs the real program and gives its output and exit code.
func runPreboot(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

func rulesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrebootExitCodes(t *testing.T) {
	const head = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	for _, c := range []struct {
		name, rules string
		code        int
		first       string
	}{
		{"safe", head + "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n", 0, "SAFE: "},
		{"unsafe", head + "COMMIT\n", 1, "UNSAFE: "},
		{"unknown", head + "-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 3/min -j ACCEPT\nCOMMIT\n", 2, "UNKNOWN: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := runPreboot(t, offline(rulesFile(t, c.rules))...)
			if code != c.code || !strings.HasPrefix(out, c.first) || errs != "" {
				t.Errorf("exit code %d\n%s%s", code, out, errs)
			}
			if strings.Contains(out, "\x1b") {
				t.Error("colours, and no terminal")
			}
		})
	}
}

func TestPrebootJSON(t *testing.T) {
	rules := rulesFile(t, "*filter\nCOMMIT\n")
	out, errs, code := runPreboot(t, append(offline(rules), "--json", "--checks", "analysis")...)
	var r struct {
		Schema  int
		Verdict string
		Checks  []struct{ Name, Load, Verdict string }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || errs != "" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if r.Schema != 1 || r.Verdict != "safe" || len(r.Checks) != 1 || r.Checks[0].Name != "analysis" || r.Checks[0].Load != "ok" || r.Checks[0].Verdict != "ALLOWED" {
		t.Errorf("%+v", r)
	}
}

func TestPrebootUsage(t *testing.T) {
	rules := rulesFile(t, "*filter\nCOMMIT\n")
	with := func(args ...string) []string { return append(offline(rules), args...) }
	for want, args := range map[string][]string{
		`--checks: check "magic"`:              with("--checks", "magic"),
		`--mgmt: management source "10.0.0"`:   with("--mgmt", "10.0.0"),
		`--dst: "host" is not an address`:      with("--dst", "host"),
		"--port: 70000 is not a port":          with("--port", "70000"),
		"--port: 0 is not a port":              with("--port", "0"),
		`--link: link "eth1" is not NAME=`:     with("--link", "eth1"),
		"family 5 is neither 4 nor 6":          with("--family", "5"),
		`back end "pf" is neither`:             with("--backend", "pf"),
		"unknown flag: --rules":                with("--rules", rules),
		"takes no arguments":                   with("now"),
		"rules4 file: open " + rules + ".none": append(offline(rules+".none"), "--json"),
		"the name of a rules file is empty":    with("--rules4", ""),
		"--mgmt is empty":                      {"preboot", "--mgmt", "", "--rules4", rules},
		"--iface is empty":                     with("--iface", ""),
		"--backend is empty":                   with("--backend", ""),
		"--host is empty":                      with("--host", ""),
		"--describe-host describes this host":  {"preboot", "--describe-host", "--mgmt", "10.0.0.0/8"},
		"host description: /dev/zero: is neit": {"preboot", "--host", "/dev/zero"},
		"must name the link":                   {"preboot", "--link", "eth0=192.0.2.10/24", "--rules4", rules},
		"host description: open":               {"preboot", "--host", rules + ".none"},
		"host description: invalid":            {"preboot", "--host", rules},
	} {
		out, errs, code := runPreboot(t, args...)
		if code != exitUsage || !strings.Contains(errs, want) || out != "" {
			t.Errorf("%q: exit code %d, %q %q", args, code, out, errs)
		}
	}
}

func TestPrebootDescribeHost(t *testing.T) {
	out, errs, code := runPreboot(t, "preboot", "--describe-host")
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	rules := rulesFile(t, "*filter\nCOMMIT\n")
	host := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(host, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs, code = runPreboot(t, "preboot", "--host", host, "--checks", "analysis", "--iface", "lo", "--dst", "127.0.0.1", "--mgmt", "127.0.0.9", "--rules4", rules)
	if code == exitUsage {
		t.Errorf("a description that is not read: %s%s", out, errs)
	}
}

func TestPrebootChildRefusesToRunAnywhereElse(t *testing.T) {
	_, errs, code := runPreboot(t, "preboot", "rehearsal-child")
	if code != exitFailed || !strings.Contains(errs, "started by `lifeline preboot` only") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
