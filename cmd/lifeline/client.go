package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"lifeline/configs"
	"lifeline/watchdog"
	"lifeline/watchdog/printable"
	"lifeline/watchdog/web"
)

// exists tells whether something stands at path, readable or not.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// clientFlags are the options of every command that talks to the daemon.
type clientFlags struct{ config, socket string }

func (f *clientFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE` that names the socket (default "+configs.DefaultFile+" where it exists)")
	cmd.Flags().StringVar(&f.socket, "socket", "", "control socket at `PATH`")
}

func (f *clientFlags) client() (*web.Client, error) {
	if f.socket != "" {
		return web.NewClient(f.socket), nil
	}
	c, _, err := loadConfig(f.config)
	if err != nil {
		return nil, err
	}
	return web.NewClient(c.SocketPath()), nil
}

// asking makes what a command does out of what it asks the daemon.
func (f *clientFlags) asking(ask func(*cobra.Command, *web.Client, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := f.client()
		if err != nil {
			return err
		}
		return ask(cmd, c, args)
	}
}

// newPinCommand makes a command that sets one wish for one transfer.
func newPinCommand(use, short string, said pinWords, pin web.PinRequest) *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: use + " TRANSFER", Short: short, Args: exactly("TRANSFER"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.pin(cmd, args[0], pin, said) },
	}
	f.add(cmd)
	return cmd
}

// pinWords are what is said of a wish that was taken.
type pinWords struct {
	done  string // after the transfer's name
	would string // with its name in place of %s, of a dry run
}

func (w pinWords) of(id string, a web.PinAnswer) string {
	if a.DryRun {
		return "dry run: would " + fmt.Sprintf(w.would, id) + "; nothing was changed"
	}
	return id + " " + w.done
}

func (f *clientFlags) pin(cmd *cobra.Command, id string, pin web.PinRequest, said pinWords) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	a, err := c.Pin(cmd.Context(), watchdog.TransferID(id), pin)
	switch {
	case err != nil:
		return fmt.Errorf("transfer %s: %w", id, err)
	case a.DryRun: // said below
	case a.Rate > 0 && a.Held == 0:
		return fmt.Errorf("transfer %s: %s", id, a.Words)
	case a.Rate > 0:
		said.done = a.Words
	}
	_, err = printable.Fprintf(cmd.OutOrStdout(), "%s\n", said.of(id, a))
	return err
}

func newPauseCommand() *cobra.Command {
	return newPinCommand("pause", "Pause one transfer until it is resumed", pinWords{"is paused; short runs keep its connection alive", "pause %s"}, web.PinRequest{Pause: true})
}

func newResumeCommand() *cobra.Command {
	return newPinCommand("resume", "Take back what pause or limit asked for one transfer", pinWords{"is controlled by the watchdog again", "give %s back to the watchdog"}, web.PinRequest{})
}

func newLimitCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "limit TRANSFER RATE", Short: "Hold one transfer at a rate, as 20Mbit, until it is resumed",
		Long: "Hold one transfer at a rate, as 20Mbit, until it is resumed. Where that cannot be\n" +
			"enforced it says why, and at what rate the transfer runs, and fails with exit code 1;\n" +
			"the request stays, and `lifeline status` shows what becomes of it.",
		Args: exactly("TRANSFER", "RATE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r configs.Rate
			if err := r.UnmarshalText([]byte(args[1])); err != nil {
				return usage(err)
			}
			if r.BytesPerSecond == 0 {
				return usage(errors.New(`the rate is empty: write it as "20Mbit"`))
			}
			at := watchdog.Mbit(r.BytesPerSecond)
			return f.pin(cmd, args[0], web.PinRequest{Rate: r.BytesPerSecond}, pinWords{would: "hold %s at " + at})
		},
	}
	f.add(cmd)
	return cmd
}
