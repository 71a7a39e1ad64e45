package preboot

import (
	"errors"
	"strings"
	"testing"
)

// TestWhatThisMachineLacksIsAnError: a misspelt link or address must not become a question
// about another machine, which has no rules.
func TestWhatThisMachineLacksIsAnError(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"})
	for name, tc := range map[string]struct {
		o    Options
		says []string
	}{
		"link":    {Options{Iface: "eht0"}, []string{`"eht0"`, "eth0, eth1", "--host"}},
		"address": {Options{Dst: addrs("192.0.2.11")}, []string{"192.0.2.11", "192.0.2.10", "--host"}},
	} {
		tc.o.Mgmt = prefixes("10.0.0.0/8")
		_, err := fakeChecker(newFakeHost(), goodTestbed(), root).check(t.Context(), tc.o)
		var wrong *UsageError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want an error of usage", name, err)
			continue
		}
		for _, s := range tc.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q is not in %q", name, s, err)
			}
		}
	}
}

// TestNoFileForAFamilyIsUnknown: what was not read lets nobody in.
func TestNoFileForAFamilyIsUnknown(t *testing.T) {
	r, err := fakeChecker(newFakeHost(), goodTestbed(), t.TempDir()).check(t.Context(), Options{
		Links: testHost().Links, Iface: "eth0", Mgmt: prefixes("10.0.0.0/8"), Dst: addrs("192.0.2.10")})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "no IPv4 rules file is given") {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
}
