package preboot

import (
	"context"
	"os"

	"lifeline/probes/preboot/sandbox"
)

// testbeds lists the confinements to try. Only the machine's own files are
// loaded with root's capabilities.
func testbeds(trusted bool) []testbedOpener {
	way := func(how sandbox.Confinement, allIDs bool) testbedOpener {
		return testbedOpener{allIDs: allIDs, open: func(ctx context.Context) (testbed, error) { return sandbox.Start(ctx, how) }}
	}
	// The last resort also of a root who has not all ids himself, as in a
	// container.
	self := way(sandbox.AsSelf, false)
	switch {
	case os.Geteuid() != 0:
		return []testbedOpener{self}
	case trusted:
		return []testbedOpener{way(sandbox.AsRoot, true), way(sandbox.AsNobody, true), self}
	}
	return []testbedOpener{way(sandbox.AsNobody, true), self}
}
