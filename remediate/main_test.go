package remediate

import (
	"fmt"
	"os"
	"testing"
)

// roleVar makes the test binary play another program of ours.
const roleVar = "LIFELINE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVar)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var roles = map[string]func() error{
	"trial":   RunTrialChild,
	"parent":  parentRole,
	"guard":   guardRole,
	"daemon":  daemonRole,
	"reuse":   reuseRole,
	"strayed": strayedRole,
	"starter": starterRole,
}

// play gives the command line of a role.
func play(role string, args ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{"/usr/bin/env", roleVar + "=" + role, exe}, args...)
}
