package preboot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
)

// carryOut does what the fixes say, in the files that they name. Within a file
// it goes from the end, so that the numbers of the lines before stay right.
func carryOut(fixes []Fix) error {
	for _, m := range slices.Backward(fixes) {
		text, err := os.ReadFile(m.File)
		if err != nil {
			return err
		}
		lines := strings.SplitAfter(string(text), "\n")
		at := len(lines)
		if m.Line > 0 {
			at = m.Line - 1
		}
		lines = slices.Insert(lines, at, m.Rule+"\n")
		if err := os.WriteFile(m.File, []byte(strings.Join(lines, "")), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fixAndAskAgain asks a locked-out case, does what the fix says, and asks again. It
// returns what is wrong with the fix, and whether there was one to try.
func fixAndAskAgain(ctx context.Context, o Options) (wrong string, tried bool) {
	o.Timeout, o.Engines = time.Second, []Engine{Analysis}
	r, err := Check(ctx, o)
	if err != nil {
		return err.Error(), false
	}
	c := r.Checks[0]
	switch {
	case c.Verdict != iptables.Blocked:
		return "", false
	case len(c.Fixes) == 0:
		return "no fix for: " + c.Summary, false
	case c.Fixes[0].Rule == "":
		return "", false // words
	}
	if err := carryOut(c.Fixes); err != nil {
		return err.Error(), true
	}
	o.Engines = nil
	if r, err = Check(ctx, o); err != nil {
		return err.Error(), true
	}
	rehearsed := slices.ContainsFunc(r.Checks, func(c CheckResult) bool { return c.Name == Rehearsal && c.Verdict == iptables.Allowed })
	// What the analysis does not model it cannot show to be safe.
	if rehearsed && (r.Verdict == Safe || r.Verdict == Unknown && !c.Fixes[0].Tested) {
		return "", true
	}
	return fmt.Sprintf("with %+v: %s: %s", c.Fixes, r.Verdict, r.Reason), true
}

// TestMendsWork: with the proposed lines in place both engines find that
// management gets in, in every case that is locked out.
func TestMendsWork(t *testing.T) {
	needTool(t, "iptables-nft-restore", "iptables-legacy-restore", "nft", "ipset", "arptables-nft-restore")
	startOrSkip(t, sandbox.AsSelf) // or skip
	paths, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		name, wrong string
		tried       bool
	}
	var all []*outcome
	var group errgroup.Group
	group.SetLimit(12)
	for _, path := range paths {
		for _, b := range []iptables.Backend{iptables.NFT, iptables.Legacy} {
			c := readCase(t, path) // files of its own
			if c.want[b] == nil {
				continue
			}
			c.options.Backend = b
			o := &outcome{name: c.name + "/" + string(b)}
			all = append(all, o)
			group.Go(func() error {
				o.wrong, o.tried = fixAndAskAgain(t.Context(), c.options)
				return nil
			})
		}
	}
	_ = group.Wait()
	tried := 0
	for _, o := range all {
		if o.wrong != "" {
			t.Errorf("%s: %s", o.name, o.wrong)
		}
		if o.tried {
			tried++
		}
	}
	if tried < 30 {
		t.Errorf("only %d fixes were tried", tried)
	}
}
