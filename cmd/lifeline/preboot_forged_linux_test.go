package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lifeline/probes/preboot"
	"lifeline/probes/sshd/sshdtest"
	"lifeline/watchdog/lab"
)

// reachAs makes a connection from one host of a lab to a port of another and
// gives the files of the listener and of both ends.
func reachAs(t *testing.T, l *lab.Lab, from, to *lab.Host, port uint16) (listener, accepted, called *os.File) {
	t.Helper()
	file := func(c interface{ File() (*os.File, error) }, err error) *os.File {
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	at := net.JoinHostPort(to.IPv4.String(), fmt.Sprint(port))
	var listens net.Listener
	err := to.Do(func() (err error) { listens, err = net.Listen("tcp", at); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer listens.Close()
	var out net.Conn
	if err := from.Do(func() (err error) { out, err = net.Dial("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := listens.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	return file(listens.(*net.TCPListener), nil), file(in.(*net.TCPConn), nil), file(out.(*net.TCPConn), nil)
}

// TestPrebootOfAForgedSession: a user's program that calls itself sshd and holds
// connections changes neither the verdict nor the mend, and the administrator of ten
// days ago stays in the question. The report tells what it left out.
func TestPrebootOfAForgedSession(t *testing.T) {
	t.Parallel() // it mostly waits
	s := buildLab(t, lab.Options{})
	l := s.lab
	ask := func(file string) (r preboot.Report, text string) {
		t.Helper()
		state := t.TempDir()
		memory := fmt.Sprintf(`{"schema":1,"sources":[{"src":%q,"local":%q,"last_seen":%q}]}`,
			l.Cli.IPv4, l.Srv.IPv4, time.Now().Add(-10*24*time.Hour).UTC().Format(time.RFC3339))
		if err := os.WriteFile(filepath.Join(state, "preboot-sources.json"), []byte(memory), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"preboot", "--state-dir", state, "--rules4", file}
		shown, _ := l.Srv.Command(t.Context(), binary, args...).CombinedOutput() // its exit code is the verdict
		// Once more: whoever was there the first time is remembered now.
		out, _ := l.Srv.Command(t.Context(), binary, append(args, "--json")...).CombinedOutput()
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return r, string(shown)
	}
	const head = "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	closed := head + "COMMIT\n"
	forMgmt := head + "-A INPUT -s " + l.Mgmt.IPv4.String() + " -p tcp -j ACCEPT\nCOMMIT\n"
	files := []string{rulesFile(t, closed), rulesFile(t, forMgmt)}
	type answer struct {
		r    preboot.Report
		text string
	}
	var before, after [2]answer
	for n, file := range files {
		before[n].r, before[n].text = ask(file)
	}
	if before[1].r.Verdict != preboot.Unsafe {
		t.Fatalf("without anything forged: %s: %s", before[1].r.Verdict, before[1].r.Reason)
	}
	listener, accepted, _ := reachAs(t, l, l.Mgmt, l.Srv, 2022)
	_, _, called := reachAs(t, l, l.Srv, l.Mgmt, 80)
	sshdtest.Forge(t, "sshd: root@pts/0", accepted, listener)
	sshdtest.Forge(t, "sshd: root@pts/1", called)
	for n, file := range files {
		after[n].r, after[n].text = ask(file)
	}
	for n := range before {
		a, b := before[n].r, after[n].r
		if a.Verdict != b.Verdict || a.Reason != b.Reason || !reflect.DeepEqual(a.Questions, b.Questions) {
			t.Errorf("rules %d: %s: %s: %+v\nwith a forged session %s: %s: %+v", n, a.Verdict, a.Reason, a.Questions, b.Verdict, b.Reason, b.Questions)
		}
		for i := range a.Checks {
			if i >= len(b.Checks) || !reflect.DeepEqual(a.Checks[i].Fixes, b.Checks[i].Fixes) {
				t.Errorf("rules %d: the fix of check %d was %+v, and is\n%+v", n, i, a.Checks[i].Fixes, b.Checks)
				break
			}
		}
		if strings.Contains(after[n].text, "dport 2022") {
			t.Errorf("rules %d: the port of a user's program is to be opened:\n%s", n, after[n].text)
		}
		if !strings.Contains(after[n].text, "left out: ") || !strings.Contains(after[n].text, "runs as uid 65534") {
			t.Errorf("rules %d: what was left out is not told:\n%s", n, after[n].text)
		}
	}
}
