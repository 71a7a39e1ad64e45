package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lifeline/watchdog/alert"
	"lifeline/watchdog/web"
)

// newHistoryCommand lists incidents: of the running daemon, or from its state
// directory when none runs.
func newHistoryCommand() *cobra.Command {
	var f clientFlags
	var n int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "history", Short: "List the last incidents, youngest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := f.history(cmd, n)
			if err != nil {
				return err
			}
			return showIncidents(cmd.OutOrStdout(), list, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVarP(&n, "number", "n", 20, "how many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (f *clientFlags) history(cmd *cobra.Command, n int) ([]alert.Incident, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	list, err := c.History(cmd.Context(), n)
	if !errors.Is(err, web.ErrNoDaemon) {
		return list, err
	}
	cfg, _, err := loadConfig(f.config)
	if err != nil {
		return nil, err
	}
	return alert.ReadHistory(cfg.StateDir, n)
}

func showIncidents(w io.Writer, list []alert.Incident, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	for _, i := range list {
		if _, err := fmt.Fprintln(w, i.Row()); err != nil {
			return err
		}
	}
	return nil
}

// newExplainCommand tells one incident: what was seen when, what was done.
func newExplainCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "explain INCIDENT", Short: "Tell one incident: what was seen when, and what was done", Args: exactly("INCIDENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			i, err := c.Explain(cmd.Context(), args[0])
			if errors.Is(err, web.ErrNoDaemon) {
				cfg, _, cerr := loadConfig(f.config)
				if cerr != nil {
					return cerr
				}
				i, err = alert.ReadIncident(cfg.StateDir, args[0])
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), i.Text())
			return err
		},
	}
	f.add(cmd)
	return cmd
}
