package sandbox

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the child of its own rehearsals, and holds that no
// goroutine outlives the tests.
func TestMain(m *testing.M) {
	switch {
	case slices.Equal(os.Args[1:], ChildArgs):
		if err := RunChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == hangArg:
		hang()
	}
	goleak.VerifyTestMain(m)
}
