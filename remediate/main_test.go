package remediate

import (
	"testing"

	"lifeline/remediate/roletest"
	"lifeline/remediate/trial"
)

func TestMain(m *testing.M) {
	roletest.Main(m, map[string]func() error{"trial": trial.RunChild, "guard": guardRole, "daemon": daemonRole})
}
