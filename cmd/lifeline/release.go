package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lifeline/cmd/lifeline/daemon"
	"lifeline/configs"
	"lifeline/remediate/guard"
	"lifeline/remediate/trial"
	"lifeline/remediate/undo"
	"lifeline/watchdog/printable"
)

func newReleaseCommand() *cobra.Command {
	var config, dir string
	cmd := &cobra.Command{
		Use:   "release",
		Short: "End the daemon, if it still runs, and undo everything it did",
		Long: "Kills the daemon of this host if it still runs, resumes every transfer, lifts every\n" +
			"limit and removes every shaper that its ledger lists. Calling it again does nothing.\n" +
			"It undoes also where the run directory is full or read-only, and fails where something\n" +
			"was not undone or could not be written.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var unread error
			if dir == "" {
				c, _, err := loadConfig(config)
				if err != nil && config != "" {
					return err
				}
				if dir = c.RunDir; err != nil {
					dir = configs.Default().RunDir // what a mistake in the file must not keep from being undone
					unread = fmt.Errorf("%w\nthe usual run directory was released; name another one with --run-dir", err)
				}
			}
			outlive(unix.SIGHUP, unix.SIGPIPE) // half of an undo is worse than none to watch
			r, err := undo.Release(cmd.Context(), dir, undo.Undoer{})
			if errors.Is(err, fs.ErrPermission) {
				err = fmt.Errorf("%w: run as root", err)
			}
			err = errors.Join(err, unread)
			if err != nil && len(r.Results) == 0 {
				return err
			}
			return errors.Join(tellRelease(cmd, dir, r), err)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `FILE` that names the run directory (default "+configs.DefaultFile+" where it exists)")
	cmd.Flags().StringVar(&dir, "run-dir", "", "run directory `DIR` that holds the ledger")
	return cmd
}

// tellRelease says what was found and done, entry by entry.
func tellRelease(cmd *cobra.Command, dir string, r undo.Report) error {
	w := cmd.OutOrStdout()
	if r.Killed.PID != 0 {
		printable.Fprintf(w, "ended daemon %d\n", r.Killed.PID)
	}
	for _, line := range r.Damage {
		printable.Fprintf(w, "unreadable line of the ledger: %s\n", line)
	}
	for _, u := range r.Results {
		if u.Err != nil {
			printable.Fprintf(w, "NOT undone: %s: %v\n", u.Entry, u.Err)
		} else {
			printable.Fprintf(w, "undone: %s\n", u.Entry)
		}
	}
	_, err := printable.Fprintf(w, "%d changes in %s\n", len(r.Results), dir)
	if n := len(r.Damage); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d lines of the ledger in %s could not be read, so what they said may still stand: look for stopped rsyncs (ps) and for shapers (tc qdisc), or reboot", n, dir))
	}
	return err
}

func newGuardCommand() *cobra.Command {
	var dir string
	var lease time.Duration
	cmd := &cobra.Command{
		Use: daemon.GuardCommand, Short: "Undo everything when the daemon is gone", Hidden: true, Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, closeLog := startLog(configs.Default().Log, cmd.ErrOrStderr())
			defer closeLog()
			return guard.Run(dir, lease, undo.Undoer{}, log)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "run directory")
	cmd.Flags().DurationVar(&lease, "lease", guard.DefaultLease, "longest silence of the daemon")
	return cmd
}

func newTrialCommand() *cobra.Command {
	return &cobra.Command{
		Use: daemon.TrialCommand, Short: "Be the process on which mechanisms are tried", Hidden: true, Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return trial.RunChild() },
	}
}
