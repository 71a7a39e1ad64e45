package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/web"
)

// pastFlags are the options of the commands that tell of incidents: from the
// running daemon, or from its state directory when none runs.
type pastFlags struct {
	clientFlags
	state  string
	asJSON bool
}

func (f *pastFlags) add(cmd *cobra.Command) {
	f.clientFlags.add(cmd)
	cmd.Flags().StringVar(&f.state, "state", "", "state directory `DIR`, read when no daemon answers (state_dir)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// dir is where to read when no daemon answers.
func (f *pastFlags) dir() (string, error) {
	if f.state != "" {
		return filepath.Abs(f.state)
	}
	c, _, err := loadConfig(f.config)
	return c.StateDir, err
}

// newHistoryCommand lists incidents.
func newHistoryCommand() *cobra.Command {
	var f pastFlags
	var n int
	cmd := &cobra.Command{
		Use: "history", Short: "List the last incidents, youngest first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 {
				return usage(fmt.Errorf("-n %d lists nothing: at least 1", n))
			}
			list, err := f.history(cmd, n)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return showIncidents(cmd.OutOrStdout(), list)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVarP(&n, "number", "n", 20, "how many")
	return cmd
}

func (f *pastFlags) history(cmd *cobra.Command, n int) ([]incident.Incident, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	list, err := c.History(cmd.Context(), n)
	if !errors.Is(err, web.ErrNoDaemon) {
		return list, err
	}
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	return spool.ReadHistory(dir, n)
}

func showIncidents(w io.Writer, list []incident.Incident) error {
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
	var f pastFlags
	cmd := &cobra.Command{
		Use: "explain INCIDENT", Short: "Explain one incident: what was seen when, and what was done", Args: exactly("INCIDENT"),
		Long: "Tells one incident: what was seen when, what was done, who was told. The beginning of its id is enough.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usage(errors.New("the incident's id is empty: `lifeline history` lists them"))
			}
			i, err := f.explain(cmd, args[0])
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), i)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), i.Text())
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func (f *pastFlags) explain(cmd *cobra.Command, id string) (i incident.Incident, err error) {
	c, err := f.client()
	if err != nil {
		return i, err
	}
	i, err = c.Explain(cmd.Context(), id)
	if !errors.Is(err, web.ErrNoDaemon) {
		return i, err
	}
	dir, err := f.dir()
	if err != nil {
		return i, err
	}
	return spool.ReadIncident(dir, id)
}
