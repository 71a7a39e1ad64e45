package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lifeline/watchdog/printable"
	"lifeline/watchdog/web"
)

const watchEvery = time.Second

func newStatusCommand() *cobra.Command {
	var f clientFlags
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the daemon sees and does", Args: exactly(),
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, _ []string) error {
			show := showText
			if asJSON {
				show = showJSON
			}
			if watch {
				return watchStatus(cmd.Context(), c, cmd.OutOrStdout(), show, asJSON)
			}
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), st)
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON (durations in ns, rates in bytes/s)")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second until interrupted")
	return cmd
}

func showText(w io.Writer, st web.Status) error { return st.Text(w) }

func showJSON(w io.Writer, st web.Status) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(st)
}

// watchStatus repaints until the user interrupts. A daemon that restarts
// meanwhile is waited for.
func watchStatus(ctx context.Context, c *web.Client, w io.Writer, show func(io.Writer, web.Status) error, plain bool) error {
	const home = "\x1b[H\x1b[2J" // cursor home, clear: ECMA-48
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		st, err := c.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !plain {
			fmt.Fprint(w, home)
		}
		switch {
		case errors.Is(err, web.ErrNoDaemon):
			_, err = printable.Fprintf(w, "%s\n", err)
		case err == nil:
			err = show(w, st)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
