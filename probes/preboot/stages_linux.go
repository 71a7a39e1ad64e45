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
	switch {
	case os.Geteuid() != 0:
		return []stageOpener{way(asSelf, false)}
	case trusted:
		return []stageOpener{way(asRoot, true), way(asNobody, true)}
	}
	return []stageOpener{way(asNobody, true)}
}
