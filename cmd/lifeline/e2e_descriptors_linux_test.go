package main

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
)

// A daemon that runs out of descriptors says so as a condition and is not ready,
// and is ready again once it may have more.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, webConfig)
	page, pid := s.page(), s.daemon.Pid()
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if was.Cur+1 < was.Max { // Go leaves one off
		t.Errorf("the daemon may have %d descriptors, and could have %d", was.Cur, was.Max)
	}
	ready := func() (code int, body string) {
		code, body, err := s.get(page + "/readyz")
		if err != nil {
			t.Logf("readyz: %v", err)
		}
		return code, body
	}
	s.until("ready", func() bool { code, _ := ready(); return code == http.StatusOK })
	open, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: uint64(len(open)) + 8, Max: was.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	s.until("a condition says it", func() bool {
		st, err := s.daemon.Status(t.Context())
		if err != nil {
			return false
		}
		for _, c := range st.Conditions {
			if c.Name == watchdog.ProbeBlind && c.Subject == watchdog.ProbeSubject(watchdog.ProbeDescriptors) {
				return strings.Contains(c.Evidence, "LimitNOFILE")
			}
		}
		return false
	})
	s.until("it is not ready", func() bool {
		code, body := ready()
		return code == http.StatusServiceUnavailable && strings.Contains(body, "file descriptors")
	})
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	s.until("it is ready again", func() bool { code, _ := ready(); return code == http.StatusOK })
}
