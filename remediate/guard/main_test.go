package guard

import (
	"log/slog"
	"os"
	"testing"

	"lifeline/remediate/roletest"
	"lifeline/remediate/undo"
)

func TestMain(m *testing.M) {
	roletest.Main(m, map[string]func() error{"guard": guardRole})
}

func guardRole() error {
	return Run(os.Args[1], DefaultLease, undo.Undoer{}, slog.New(slog.DiscardHandler))
}
