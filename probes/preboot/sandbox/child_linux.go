package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// RunChild is the child process of a rehearsal: it answers the messages
// on its standard input until that ends. It runs only as the first process of
// a pid namespace that the parent made for it; anywhere else it refuses,
// because it changes links, mounts and capabilities.
func RunChild(in io.Reader, out io.Writer) error {
	if os.Getpid() != 1 {
		return errors.New("the rehearsal child is started by `lifeline preboot` only")
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tie to the parent: %w", err)
	}
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var t *topology
	var tools *toolRunner
	for {
		var m request
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("message: %w", err)
		}
		var reply any
		switch {
		case m.Network != nil && t == nil:
			var err error
			t, tools, err = buildNetwork(*m.Network)
			reply = networkReply{Err: errorText(err)}
		case m.Loads != nil && t != nil:
			var r loadsReply
			for _, l := range m.Loads.Loads {
				r.Results = append(r.Results, tools.run(l, m.Loads.Deadline))
			}
			reply = r
		case m.Traffic != nil && t != nil:
			results, err := t.connect(*m.Traffic)
			reply = trafficReply{Err: errorText(err), Results: results}
		case m.Renewal != nil && t != nil:
			r, err := t.renewIPv6(*m.Renewal)
			r.Err = errorText(err)
			reply = r
		default:
			return errors.New("message out of turn")
		}
		if err := enc.Encode(reply); err != nil {
			return err
		}
	}
}

// buildNetwork builds a network. Everything that needs the host's file tree or privileges
// comes before the first tool runs.
func buildNetwork(sc Network) (*topology, *toolRunner, error) {
	proc, err := openHostProc()
	if err != nil {
		return nil, nil, err
	}
	t, err := build(proc, sc)
	if err != nil {
		return nil, nil, err
	}
	if err := enterRoot(sc.Files); err != nil {
		return nil, nil, err
	}
	tools, err := newToolRunner()
	if err != nil {
		return nil, nil, err
	}
	return t, tools, nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
