package main

//go:generate go run . man --output ../../docs/man/mtad.8

import (
	"io"

	"github.com/spf13/cobra"
)

// manCommand writes the manual page docs/man/mtad.8.
func manCommand() *cobra.Command {
	c := documentCommand("man", "Print the manual page", func(w io.Writer) error {
		return manual(w, rootCommand())
	})
	c.Hidden = true
	return c
}
