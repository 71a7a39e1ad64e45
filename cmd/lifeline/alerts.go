package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/printable"
	"lifeline/watchdog/web"
)

// newAlertsCommand shows how alerting does, and tests and repeats it.
func newAlertsCommand() *cobra.Command {
	var f clientFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "alerts", Short: "Show the receivers, what waits for them and what they refused", Args: exactly(),
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, _ []string) error {
			a, err := c.Alerts(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), a)
			}
			return a.Text(cmd.OutOrStdout())
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newAlertsTestCommand(), newResendCommand(), newSchemaCommand())
	return cmd
}

func newAlertsTestCommand() *cobra.Command {
	var f clientFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "test [RECEIVER]", Short: "Send a test alert, its begin and its end, and wait for the answers", Args: atMostOne("RECEIVER"),
		Long: "Sends a test alert, its begin and its end, to one receiver or to all, and tells what each answered.\n" +
			"It fails when one does not take it, or does not answer in time.",
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, args []string) error {
			if wait < time.Second || wait > 10*time.Minute {
				return usage(fmt.Errorf("--wait %s is out of range: between 1s and 10m", wait))
			}
			return testAlert(cmd.Context(), cmd.OutOrStdout(), c, strings.Join(args, ""), wait)
		}),
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for answers")
	return cmd
}

// answerEvery is how often it is looked whether a receiver has answered.
const answerEvery = 100 * time.Millisecond

// testAlert sends a test alert and tells the answers.
func testAlert(ctx context.Context, w io.Writer, c *web.Client, receiver string, wait time.Duration) error {
	id, err := c.TestAlert(ctx, receiver)
	if err != nil {
		return err
	}
	answers, err := awaitAnswers(ctx, c, id, wait)
	if err != nil {
		return fmt.Errorf("test alert %s: %w", id, err)
	}
	failed := 0
	for _, a := range answers {
		if !a.Well() {
			failed++
		}
		if _, err := fmt.Fprintln(w, a.Row()); err != nil {
			return err
		}
	}
	if _, err := printable.Fprintf(w, "incident %s: `lifeline explain %s` shows who took it, also later\n", id, id); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("test alert: %d of %d receivers did not take it", failed, len(answers))
	}
	return nil
}

// awaitAnswers waits until every receiver has answered, for as long as wait.
func awaitAnswers(ctx context.Context, c *web.Client, id string, wait time.Duration) ([]notify.Answer, error) {
	for end := time.Now().Add(wait); ; {
		answers, err := c.TestAnswers(ctx, id)
		open := slices.ContainsFunc(answers, func(a notify.Answer) bool { return !a.Answered() })
		if err != nil || !open || time.Now().After(end) {
			return answers, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(answerEvery):
		}
	}
}

func newResendCommand() *cobra.Command {
	var f clientFlags
	var event string
	cmd := &cobra.Command{
		Use: "resend [RECEIVER]", Short: "Put back into the queue what receivers refused", Args: atMostOne("RECEIVER"),
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, args []string) error {
			n, err := c.Resend(cmd.Context(), web.ResendRequest{Receiver: strings.Join(args, ""), Event: event})
			if err != nil {
				return err
			}
			_, err = printable.Fprintf(cmd.OutOrStdout(), "events put back into the queue: %d; `lifeline alerts` shows what becomes of them\n", n)
			return err
		}),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&event, "event", "", "only the event with this `ID`")
	return cmd
}

// newSchemaCommand prints what receivers of type "json" may rely on.
func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the payload of receivers of type \"json\"", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(incident.Schema)
			return err
		},
	}
}

// newSilenceCommand keeps alerts from being told for a time.
func newSilenceCommand() *cobra.Command {
	var f clientFlags
	var s incident.Silence
	cmd := &cobra.Command{
		Use: "silence DURATION", Short: "Silence new incidents for a time, as 2h: all, or those that match", Args: exactly("DURATION"),
		Long: "Notifies nobody of new incidents for a time. Conditions, subjects and severities may hold \"*\" for any text and\n" +
			"\"?\" for any character; without them everything is silenced. The end of an incident that was told before is\n" +
			"told all the same, heartbeats go on, and the history has everything.",
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, args []string) error {
			d, err := time.ParseDuration(args[0])
			if err != nil || d <= 0 {
				return usage(fmt.Errorf("%q is not a duration: write it as 30m or 2h", args[0]))
			}
			if s.Condition == "" && s.Subject == "" && s.Severity == "" {
				s.Condition = "*"
			}
			made, err := c.Silence(cmd.Context(), web.SilenceRequest{Silence: s, Lasts: d})
			if err != nil {
				return err
			}
			if _, err = printable.Fprintf(cmd.OutOrStdout(), "%s\n", made.Row()); err != nil {
				return err
			}
			return warnUnfit(cmd, c, made)
		}),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&s.Condition, "condition", "", "only this condition, as LinkSaturated")
	cmd.Flags().StringVar(&s.Subject, "subject", "", "only this subject, as \"eth0 rx\" or \"eth0*\"")
	cmd.Flags().StringVar(&s.Severity, "severity", "", "only this severity: info, warning or critical")
	cmd.Flags().StringVar(&s.Comment, "comment", "", "why")
	cmd.AddCommand(newSilenceListCommand(), newSilenceEndCommand())
	return cmd
}

// warnUnfit tells of a subject that fits nothing which this host has. A link may
// come later, so that is no mistake.
func warnUnfit(cmd *cobra.Command, c *web.Client, s incident.Silence) error {
	st, err := c.Status(cmd.Context())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(subjects(st), s.MatchesSubject) {
		return nil
	}
	_, err = printable.Fprintf(cmd.OutOrStdout(), "warning: no link of this host and no active condition matches the subject %q: it silences nothing until one does\n", s.Subject)
	return err
}

// subjects are those that conditions can have now.
func subjects(st web.Status) []string {
	out := []string{watchdog.Subject{}.String()}
	for _, l := range st.Links {
		out = append(out, l.Name, watchdog.DirectionSubject(l.Name, watchdog.Rx).String(), watchdog.DirectionSubject(l.Name, watchdog.Tx).String())
	}
	for _, c := range st.Conditions {
		out = append(out, c.Subject.String())
	}
	for _, c := range st.Capabilities { // a remedy that fails
		out = append(out, c.Name)
	}
	return out
}

func newSilenceListCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the silences in force", Args: exactly(),
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, _ []string) error {
			a, err := c.Alerts(cmd.Context())
			if err != nil {
				return err
			}
			if len(a.Silences) == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "nothing is silenced")
			}
			for _, s := range a.Silences {
				if _, err = fmt.Fprintln(cmd.OutOrStdout(), s.Row()); err != nil {
					break
				}
			}
			return err
		}),
	}
	f.add(cmd)
	return cmd
}

func newSilenceEndCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "end ID", Short: "End a silence before its time, or with \"all\" every one", Args: exactly("ID"),
		RunE: f.asking(func(cmd *cobra.Command, c *web.Client, args []string) error {
			if err := c.Unsilence(cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err := printable.Fprintf(cmd.OutOrStdout(), "silence %s is over\n", args[0])
			return err
		}),
	}
	f.add(cmd)
	return cmd
}
