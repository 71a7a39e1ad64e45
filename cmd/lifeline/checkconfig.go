package main

import (
	"errors"
	"io"
	"net"

	"github.com/spf13/cobra"

	"lifeline/configs"
	"lifeline/watchdog/printable"
)

func newCheckConfigCommand() *cobra.Command {
	var example bool
	cmd := &cobra.Command{
		Use:   "check-config FILE",
		Short: "Tell whether a configuration file is good",
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if example {
				_, err := out.Write(configs.Example)
				return err
			}
			if len(args) != 1 {
				return usage(errors.New("name one configuration file to check, or --example to see every key"))
			}
			return checkConfig(out, args[0])
		},
	}
	cmd.Flags().BoolVar(&example, "example", false, "print a file with every key, its meaning and its default")
	return cmd
}

// checkConfig checks a file, and the files that it names for receivers.
func checkConfig(out io.Writer, file string) error {
	untried, err := configs.Inspect(file)
	if errors.Is(err, configs.ErrNoAnswer) {
		return err
	}
	if err != nil {
		return usage(err)
	}
	for _, u := range untried {
		if _, err := printable.Fprintf(out, "%s: not tried: %s\n", file, u); err != nil {
			return err
		}
	}
	if err := warnAbsent(out, file); err != nil {
		return err
	}
	_, err = printable.Fprintf(out, "%s: good\n", file)
	return err
}

// warnAbsent tells of settings for links that this host does not have. A file
// may be checked on another host than its own, so that is no mistake.
func warnAbsent(out io.Writer, file string) error {
	links, err := net.Interfaces()
	if err != nil {
		_, err = printable.Fprintf(out, "%s: not tried: whether its links are there: %v\n", file, err)
		return err
	}
	there := make([]string, len(links))
	for i, l := range links {
		there[i] = l.Name
	}
	warnings, err := configs.WarnAbsent(file, there)
	if err != nil {
		return usage(err)
	}
	for _, w := range warnings {
		if _, err := printable.Fprintf(out, "%s\n", w); err != nil {
			return err
		}
	}
	return nil
}

// loadConfig reads the named file, else the usual one, else the defaults. It
// tells where the configuration came from.
func loadConfig(file string) (c configs.Config, from string, err error) {
	if file == "" && !exists(configs.DefaultFile) {
		return configs.Default(), "built-in defaults", nil
	}
	if file == "" {
		file = configs.DefaultFile
	}
	c, err = configs.Load(file)
	if errors.Is(err, configs.ErrNoAnswer) {
		return c, file, err // no mistake in it: the next attempt may go well
	}
	if err != nil {
		return c, file, usage(err)
	}
	return c, file, nil
}
