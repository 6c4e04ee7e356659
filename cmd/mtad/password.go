package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mtad/internal/auth"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func passwordCommand() *cobra.Command {
	var scheme string
	c := &cobra.Command{
		Use:   "password LOGIN",
		Short: "Make a line of a password file",
		Long: `Make a line of a password file (auth.*.password_file) for LOGIN, and print it.

The password is read from the terminal, twice and without echo, or else as one
line from standard input; it never is an argument. The schemes are ` + strings.Join(auth.Schemes(), ", ") + `.
With scram-sha-256 for every login in the file clients can use SCRAM, and PLAIN and LOGIN as well.`,
		Example: `  mtad password ann@example.org >> /etc/mtad/passwords
  printf '%s\n' "$PASSWORD" | mtad password --scheme scram-sha-256 ann@example.org`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			line, err := passwordLine(cmd.InOrStdin(), scheme, a[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
			return err
		},
	}
	c.Flags().StringVar(&scheme, "scheme", auth.Schemes()[0], "how the password is stored: `"+strings.Join(auth.Schemes(), "|")+"`")
	return c
}

func passwordLine(in io.Reader, scheme, login string) (string, error) {
	if !auth.ValidLogin(login) {
		return "", usage(fmt.Errorf("%q cannot be a login: no blanks, colons and control characters, at most 255 octets", login))
	}
	read := readLine
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		read = func(io.Reader) (string, error) { return ask(f) }
	}
	password, err := read(in)
	if err != nil {
		return "", err
	}
	hash, err := auth.Hash(scheme, password)
	if err != nil {
		return "", err
	}
	return auth.Fold(login) + ":" + hash, nil
}

// readLine reads one line of bounded length, without its end.
func readLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 2*auth.MaxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// ask reads a password twice from a terminal that does not show it.
func ask(tty *os.File) (string, error) {
	fd := int(tty.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }()
	r := bufio.NewReader(io.LimitReader(tty, 4*auth.MaxPassword))
	var both [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(os.Stderr, prompt)
		line, err := r.ReadString('\n')
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		both[i] = strings.TrimRight(line, "\r\n")
	}
	if both[0] != both[1] {
		return "", errors.New("the passwords differ")
	}
	return both[0], nil
}
