// Command lifeline keeps a backup server manageable while rsyncs saturate its
// link, and tells before a reboot whether the saved firewall rules let
// management in.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"github.com/spf13/cobra"

	"lifeline/watchdog/printable"
	"lifeline/watchdog/web"
)

// Exit codes, the same for every command.
const (
	exitOK       = 0
	exitFailed   = 1 // it could not be done; preboot: unsafe
	exitUnknown  = 2 // preboot: unknown
	exitUsage    = 3 // wrong usage or configuration
	exitNoDaemon = 4 // no daemon answers on the control socket
)

const exitCodes = `Exit codes:
  0  done (preboot: safe)
  1  failed (preboot: unsafe)
  2  preboot: unknown
  3  wrong usage or configuration
  4  no daemon answers on the control socket`

// exitError is an error that wants an exit code of its own. A nil err has
// been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as the caller's mistake.
func usage(err error) error { return &exitError{exitUsage, err} }

// The main thread is kept for the main goroutine. Some threads are lent out to
// other network namespaces and end there; the main thread cannot end, and what
// /proc says of this process is what it says of that thread.
func init() { runtime.LockOSThread() }

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes one command line and gives its exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	defer stop()
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	complain(os.Stderr, err)
	var ee *exitError
	switch {
	case errors.As(err, &ee):
		return ee.code
	case errors.Is(err, web.ErrNoDaemon):
		return exitNoDaemon
	}
	return exitFailed
}

// complain prints an error that was not told already. It may name files, links and
// programs of others.
func complain(w io.Writer, err error) {
	if msg := err.Error(); msg != "" {
		fmt.Fprintf(w, "lifeline: %s\n", printable.Lines(msg))
	}
}

// newRootCommand is the visible list of all commands.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lifeline",
		Short: "Keeps a backup server manageable while rsyncs saturate its link",
		Long: "Lifeline keeps ssh and ping alive while rsyncs saturate the link of a backup server,\n" +
			"and undoes everything it did when it stops, crashes or is killed.\n\n" + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q: `lifeline --help` lists them", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w: `%s --help` lists the options", err, cmd.CommandPath()))
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newRunCommand(),
		newStatusCommand(),
		newPauseCommand(),
		newResumeCommand(),
		newLimitCommand(),
		newAlertsCommand(),
		newSilenceCommand(),
		newHistoryCommand(),
		newExplainCommand(),
		newReleaseCommand(),
		newPrebootCommand(),
		newDemoCommand(),
		newCheckConfigCommand(),
		newVersionCommand(),
		newGuardCommand(),
		newTrialCommand(),
	)
	return root
}

// atMostOne refuses more than the one argument that may be given.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return usage(fmt.Errorf("%s takes at most one argument (%q), and got %q", cmd.CommandPath(), what, args))
	}
}

// exactly refuses any other number of arguments, naming what is wanted.
func exactly(what ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(what) {
			return nil
		}
		if len(what) == 0 {
			return usage(fmt.Errorf("%s takes no arguments, and got %q", cmd.CommandPath(), args))
		}
		return usage(fmt.Errorf("%s takes %d arguments (%q), and got %d", cmd.CommandPath(), len(what), what, len(args)))
	}
}
