package remediate

import (
	"lifeline/remediate/roletest"
	"lifeline/remediate/trial"
	"testing"
)

func TestMain(m *testing.M) {
	roletest.Main(m, map[string]func() error{"trial": trial.RunChild, "guard": guardRole, "daemon": daemonRole})
}
