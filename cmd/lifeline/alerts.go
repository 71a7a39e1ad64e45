package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeline/watchdog/alert"
	"lifeline/watchdog/web"
)

// newAlertsCommand shows how alerting does, and tests and repeats it.
func newAlertsCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "alerts", Short: "Show the receivers, what waits for them and what they refused", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.showAlerts(cmd) },
	}
	f.add(cmd)
	cmd.AddCommand(newAlertsTestCommand(), newResendCommand())
	return cmd
}

func (f *clientFlags) showAlerts(cmd *cobra.Command) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	a, err := c.Alerts(cmd.Context())
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%d incidents stand\n", a.Status.Open)
	for _, r := range a.Status.Receivers {
		fmt.Fprintf(w, "receiver %s (%s): %d wait, %d refused %s\n", r.Name, r.Type, r.Pending, r.Dead, r.LastErr)
	}
	if len(a.Status.Receivers) == 0 {
		fmt.Fprintln(w, "no receiver is configured: add [[receiver]] tables, docs/alerts.md tells how")
	}
	for _, d := range a.DeadLetters {
		fmt.Fprintf(w, "refused by %s: %s %s (%d %s) %s\n", d.Receiver, d.Kind, d.Event, d.Status, d.Error, d.Summary)
	}
	for _, s := range a.Silences {
		fmt.Fprintf(w, "silence %s\n", silence(s))
	}
	return nil
}

// silence is one silence in a line.
func silence(s alert.Silence) string {
	return fmt.Sprintf("%s until %s: condition %q, subject %q %s", s.ID, s.Until.Format(time.RFC3339), s.Condition, s.Subject, s.Comment)
}

func newAlertsTestCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "test [RECEIVER]", Short: "Send a test alert, its begin and its end", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			id, err := c.TestAlert(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "sent as incident %s: `lifeline explain %s` shows who took it\n", id, id)
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func newResendCommand() *cobra.Command {
	var f clientFlags
	var event string
	cmd := &cobra.Command{
		Use: "resend [RECEIVER]", Short: "Send again what receivers refused", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			n, err := c.Resend(cmd.Context(), web.ResendRequest{Receiver: strings.Join(args, ""), Event: event})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d events wait to be sent again\n", n)
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&event, "event", "", "only the event with this `ID`")
	return cmd
}

// newSilenceCommand keeps alerts from being told for a time.
func newSilenceCommand() *cobra.Command {
	var f clientFlags
	var s alert.Silence
	var condition string
	cmd := &cobra.Command{
		Use: "silence DURATION", Short: "Tell nobody for a time, as 2h, of conditions or a subject", Args: exactly("DURATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := time.ParseDuration(args[0])
			if err != nil || d <= 0 {
				return usage(fmt.Errorf("%q is not a duration: write it as 30m or 2h", args[0]))
			}
			c, err := f.client()
			if err != nil {
				return err
			}
			s.Condition = condition
			made, err := c.Silence(cmd.Context(), web.SilenceRequest{Silence: s, Lasts: d})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "silence %s\n", silence(made))
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&condition, "condition", "", "only this condition, as LinkSaturated")
	cmd.Flags().StringVar(&s.Subject, "subject", "", "only this subject, as \"eth0 rx\"")
	cmd.Flags().StringVar(&s.Comment, "comment", "", "why")
	return cmd
}
