package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lifeline/cmd/lifeline/daemon"
	"lifeline/cmd/lifeline/logwriter"
	"lifeline/configs"
)

type runOptions struct {
	config, state, socket string
	dryRun                bool
}

func newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch over this host in the foreground and keep its line alive",
		Long: "Watches over this host until SIGTERM or Ctrl-C, and undoes everything before it ends.\n" +
			"It outlives its terminal (SIGHUP). A new configuration is applied by a restart.\n" +
			"Without a configuration file everything is found out or has a default.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (default "+configs.DefaultFile+" where it exists)")
	f.BoolVar(&o.dryRun, "dry-run", false, "decide and say what would be done, and do nothing")
	f.StringVar(&o.state, "state", "", "state directory `DIR` (state_dir)")
	f.StringVar(&o.socket, "socket", "", "control socket at `PATH` (socket)")
	return cmd
}

// load reads the configuration; the options of the command line go first.
func (o runOptions) load() (c configs.Config, from string, err error) {
	c, from, err = loadConfig(o.config)
	if err != nil {
		return c, from, err
	}
	if o.state != "" {
		if !filepath.IsAbs(o.state) {
			return c, from, usage(fmt.Errorf("--state %q is not an absolute path: begin it with \"/\"", o.state))
		}
		c.StateDir = o.state
	}
	if o.socket != "" {
		if err := configs.CheckSocket(o.socket); err != nil {
			return c, from, usage(fmt.Errorf("--socket: %w", err))
		}
		c.Socket = o.socket
	}
	return c, from, nil
}

func (o runOptions) run(ctx context.Context, out io.Writer) error {
	cfg, from, err := o.load()
	if err != nil {
		return err
	}
	log, closeLog := startLog(cfg.Log, os.Stderr)
	defer closeLog()
	greeting, closeGreeting := unblocked(cfg.Log, out)
	defer closeGreeting()
	err = daemon.Run(ctx, daemon.Options{
		Config: cfg, ConfigFrom: from, DryRun: o.dryRun, Version: version(), Log: log, Greeting: greeting,
	})
	var bad *daemon.ConfigError
	if errors.As(err, &bad) {
		return usage(err)
	}
	return err
}

// logHandler writes log lines as configured.
func logHandler(c configs.Log, w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// startLog logs to a file that may block without waiting for it. The last lines are
// written by stop.
func startLog(c configs.Log, out io.Writer) (log *slog.Logger, stop func()) {
	w, stop := unblocked(c, out)
	return slog.New(logHandler(c, w)), stop
}

// lastLines is how long the last lines may take to be written.
const lastLines = time.Second

// unblocked writes to a file that may block without waiting for it.
func unblocked(c configs.Log, out io.Writer) (w io.Writer, stop func()) {
	lw := logwriter.New(out, func(w io.Writer) slog.Handler { return logHandler(c, w) })
	return lw, func() { lw.Close(lastLines) }
}
