package process

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

func TestHoldIsShortUnlessTheTimeoutIsProven(t *testing.T) {
	cases := []struct {
		via     watchdog.Via
		timeout time.Duration
		want    time.Duration
	}{
		{watchdog.ViaDaemon, 0, 2 * time.Second},
		{watchdog.ViaDaemon, 600 * time.Second, 2 * time.Second}, // the module's; the client's may be 5 s
		{watchdog.ViaDaemon, 3 * time.Second, 1350 * time.Millisecond},
		{watchdog.ViaSSHServer, 0, 2 * time.Second},
		{watchdog.ViaSSHServer, 10 * time.Second, 4500 * time.Millisecond},
		{watchdog.ViaSSHServer, time.Second, 450 * time.Millisecond},
		{watchdog.ViaSSHServer, time.Hour, time.Minute},
	}
	for _, c := range cases {
		got := HoldFor(watchdog.Transfer{Via: c.via, Timeout: c.timeout})
		if got != c.want {
			t.Errorf("%s, timeout %v: hold %v, want %v", c.via, c.timeout, got, c.want)
		}
	}
}
