package preboot

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"lifeline/probes/preboot/sandbox"
)

// TestMain lets the test binary be the child of its own rehearsals, and holds that no
// goroutine outlives the tests.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], sandbox.ChildArgs) {
		if err := sandbox.RunChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
