package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want int
	}{
		"fine":             {`{"ImportPath":"lifeline/probes/nic","Imports":["fmt","lifeline/watchdog"]}`, 0},
		"control imports":  {`{"ImportPath":"lifeline/watchdog/control","Imports":["lifeline/watchdog"]}`, 1},
		"core on a probe":  {`{"ImportPath":"lifeline/watchdog","Imports":["lifeline/probes/nic"]}`, 1},
		"probe on a probe": {`{"ImportPath":"lifeline/probes/nic","Imports":["lifeline/probes/path"]}`, 1},
		"unnamed layer":    {`{"ImportPath":"lifeline/extra","Imports":[]}`, 1},
		"two packages":     {`{"ImportPath":"lifeline/cmd/lifeline","Imports":["lifeline/configs"]} {"ImportPath":"lifeline/remediate","Imports":["lifeline/configs"]}`, 1},
	} {
		bad, err := check(strings.NewReader(tc.in))
		if err != nil || len(bad) != tc.want {
			t.Errorf("%s: %q, %v; want %d", name, bad, err, tc.want)
		}
	}
}
