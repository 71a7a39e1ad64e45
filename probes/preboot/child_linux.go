package preboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// RehearsalChild is the child process of a rehearsal: it answers the messages
// on its standard input until that ends. It runs only as the first process of
// a pid namespace that the parent made for it; anywhere else it refuses,
// because it changes links, mounts and capabilities.
func RehearsalChild(in io.Reader, out io.Writer) error {
	if os.Getpid() != 1 {
		return errors.New("the rehearsal child is started by `lifeline preboot` only")
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tie to the parent: %w", err)
	}
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var t *topology
	for {
		var m message
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("message: %w", err)
		}
		var reply any
		switch {
		case m.Scene != nil && t == nil:
			var r sceneReply
			t, r = setStage(*m.Scene)
			reply = r
		case m.Traffic != nil && t != nil:
			results, err := t.play(*m.Traffic)
			reply = trafficReply{Err: text(err), Results: results}
		case m.Renewal != nil && t != nil:
			r, err := t.renew(*m.Renewal)
			r.Err = text(err)
			reply = r
		default:
			return errors.New("message out of turn")
		}
		if err := enc.Encode(reply); err != nil {
			return err
		}
	}
}

// setStage builds a scene and loads its files. Everything that needs the host's
// file tree or privileges comes before the first tool runs.
func setStage(sc scene) (*topology, sceneReply) {
	failed := func(err error) (*topology, sceneReply) { return nil, sceneReply{Err: err.Error()} }
	proc, err := openHostProc()
	if err != nil {
		return failed(err)
	}
	t, err := build(proc, sc)
	if err != nil {
		return failed(err)
	}
	if err := enterRoot(sc.Files); err != nil {
		return failed(err)
	}
	tools, err := newToolRunner()
	if err != nil {
		return failed(err)
	}
	var r sceneReply
	for _, l := range sc.Loads {
		r.Loads = append(r.Loads, tools.run(l, sc.Deadline))
	}
	return t, r
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
