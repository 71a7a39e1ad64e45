package roletest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Eventually polls for a condition.
func Eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	EventuallyIn(t, 20*time.Second, what, cond)
}

// EventuallyIn polls for a condition for that long.
func EventuallyIn(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// RoleVar makes the test binary play another program of ours.
const RoleVar = "LIFELINE_TEST_ROLE"

// Main runs the role that the environment names, or else the tests, which must leave no
// goroutine behind. A process that plays a role ends with status 1 where that fails.
func Main(m *testing.M, roles map[string]func() error) {
	role, ok := roles[os.Getenv(RoleVar)]
	if !ok {
		goleak.VerifyTestMain(m)
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Play gives the command line of a role.
func Play(role string, args ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{"/usr/bin/env", RoleVar + "=" + role, exe}, args...)
}
