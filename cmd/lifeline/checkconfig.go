package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lifeline/configs"
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
			if _, err := configs.Load(args[0]); err != nil {
				return usage(err)
			}
			_, err := fmt.Fprintf(out, "%s: good\n", args[0])
			return err
		},
	}
	cmd.Flags().BoolVar(&example, "example", false, "print a file with every key, its meaning and its default")
	return cmd
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
	if err != nil {
		return c, file, usage(err)
	}
	return c, file, nil
}
