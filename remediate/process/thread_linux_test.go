package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"lifeline/remediate/roletest"
)

// parentRole says with which nice values its children run, one started as any
// other, one unhurried.
func parentRole() error {
	for _, start := range []func(*exec.Cmd) error{(*exec.Cmd).Start, StartAtDefaultPriority} {
		var out bytes.Buffer
		cmd := exec.Command("nice") // says its own
		cmd.Stdout = &out
		if err := start(cmd); err != nil {
			return err
		}
		if err := cmd.Wait(); err != nil {
			return err
		}
		fmt.Print(out.String())
	}
	return nil
}

// A child has none of its parent's priority.
func TestChildrenAreUnhurried(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: takes priority over other processes")
	}
	argv := append([]string{"-n", "-20"}, roletest.Play("parent")...)
	out, err := exec.CommandContext(t.Context(), "nice", argv...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var plain, unhurried int
	if _, err := fmt.Sscan(string(out), &plain, &unhurried); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	if plain >= 0 {
		t.Skipf("nice value %d: CAP_SYS_NICE is missing", plain)
	}
	if unhurried != 0 {
		t.Errorf("nice value %d of a child, %d of its parent", unhurried, plain)
	}
}

// What a tool said is in the error, and one that cannot be started is told.
func TestToolsThatFail(t *testing.T) {
	ctx := t.Context()
	err := RunAtDefaultPriority(exec.CommandContext(ctx, "sh", "-c", "echo no such thing >&2; exit 3"))
	if err == nil || err.Error() != "exit status 3: no such thing" {
		t.Errorf("error %v", err)
	}
	if err := RunAtDefaultPriority(exec.CommandContext(ctx, "/nonexistent/tool")); err == nil {
		t.Error("what is not there was run")
	}
	if err := RunAtDefaultPriority(exec.CommandContext(ctx, "sh", "-c", "echo all is well")); err != nil {
		t.Errorf("error %v", err)
	}
}
