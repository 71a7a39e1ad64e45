package guard

import (
	"slices"
	"strings"
	"testing"
)

func TestScopeArguments(t *testing.T) {
	got := scopeArgs("lifeline-guard-7.scope", 7)
	want := strings.Fields("call --system --quiet org.freedesktop.systemd1 /org/freedesktop/systemd1 " +
		"org.freedesktop.systemd1.Manager StartTransientUnit ssa(sv)a(sa(sv)) lifeline-guard-7.scope fail 3 Description s")
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("%q", got)
	}
	if rest := strings.Join(got[len(want)+1:], " "); rest != "PIDs au 1 7 CollectMode s inactive-or-failed 0" {
		t.Errorf("%q", rest)
	}
}
