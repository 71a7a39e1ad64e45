package trial_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/roletest"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/watchdog"
)

func TestTrialsOnThisKernel(t *testing.T) {
	got := trial.Run(context.Background(), roletest.Play("trial"))
	t.Logf("a receive buffer can be held: %v", got.HoldBuffer)
	t.Logf("clamp on a full receiver is safe: %v", got.FullClamp)
	for _, c := range got.Capabilities {
		if !c.Available && (os.Geteuid() == 0 || c.Name == remedy.Pause) {
			t.Errorf("%s: %s", c.Name, c.Why)
		}
		if !c.Available && (c.Why == "" || c.Left == "") {
			t.Errorf("%s is not available, and nothing says why or what is left: %+v", c.Name, c)
		}
	}
}

func TestTrialWithoutProgram(t *testing.T) {
	got := trial.Run(context.Background(), []string{"/nonexistent/program"})
	if len(got.Capabilities) != 5 || got.HoldBuffer || got.FullClamp {
		t.Fatalf("%+v", got)
	}
	for _, c := range got.Capabilities {
		if c.Available || !strings.Contains(c.Why, "/nonexistent/program") {
			t.Errorf("%+v", c)
		}
	}
}

// A host whose loopback is down, or firewalled, has its mechanisms all the same.
func TestTrialWithoutLoopback(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	err := process.InNewNetns(func() error { // its loopback is down
		for _, c := range trial.Run(context.Background(), roletest.Play("trial")).Capabilities {
			if !c.Available {
				t.Errorf("%s: %s", c.Name, c.Why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A real transfer tells whether the sockets of others can be reached.
func TestReach(t *testing.T) {
	x := trialtest.TransferOf(trialtest.New(t))
	if lacking, tried := trial.Reach([]watchdog.Transfer{x}); !tried || lacking != nil {
		t.Errorf("one that can be reached: %+v, tried %v", lacking, tried)
	}
	gone, foreign, barred := x, x, x
	gone.Socket.Inode++
	foreign.Foreign = true
	if lacking, tried := trial.Reach([]watchdog.Transfer{gone, foreign, {}}); tried || lacking != nil {
		t.Errorf("nobody to try it on: %+v, tried %v", lacking, tried)
	}
	barred.Socket.Refs = []watchdog.FDRef{{Proc: watchdog.ProcID{PID: 1}, FD: 3}} // refused, as by the kernel
	lacking, tried := trial.Reach([]watchdog.Transfer{barred, x})
	if !tried || len(lacking) != 3 {
		t.Fatalf("out of reach: %+v, tried %v", lacking, tried)
	}
	for _, c := range lacking {
		if c.Available || !strings.Contains(c.Why, "running rsync") || c.Left == "" {
			t.Errorf("%+v", c)
		}
	}
}
