package preboot

import (
	"context"
	"os"
)

// waysToStage lists the confinements to try. Only the machine's own files are
// loaded with root's capabilities.
func waysToStage(trusted bool) []stageOpener {
	way := func(how confinement, ids bool) stageOpener {
		return stageOpener{ids: ids, open: func(ctx context.Context) (stage, error) { return startChild(ctx, how) }}
	}
	// The last resort also of a root who has not all ids himself, as in a
	// container.
	self := way(asSelf, false)
	switch {
	case os.Geteuid() != 0:
		return []stageOpener{self}
	case trusted:
		return []stageOpener{way(asRoot, true), way(asNobody, true), self}
	}
	return []stageOpener{way(asNobody, true), self}
}
