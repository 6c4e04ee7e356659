package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"mtad/internal/dkimkey"
)

func (t *tool) dkimCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dkim", Short: "Make keys for DKIM signatures, and look at what is published",
		Args: noArgs, RunE: needVerb,
	}
	c.AddCommand(t.dkimKeygenCommand(), t.dkimCheckCommand())
	return c
}

// keyText is what keygen prints with -o json.
type keyText struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	File     string `json:"file"`
	Name     string `json:"name"`
	Record   string `json:"record"`
}

func (t *tool) dkimKeygenCommand() *cobra.Command {
	var kind, file string
	var bits int
	c := &cobra.Command{
		Use: "keygen DOMAIN SELECTOR", Short: "Make a key",
		Long: `Make a private key, and print the DNS record to publish and the lines for the configuration. The file is new and its owner's alone (mode 0600); one that is there is never written over.

RSA is what every verifier knows. An Ed25519 key is meant beside one: a message is then signed twice, under two selectors.`,
		Args: twoArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			domain, selector, err := keyNames(args)
			if err != nil {
				return err
			}
			if file == "" {
				file = selector + "." + domain + ".pem"
			}
			if kind != dkimkey.RSA && kind != dkimkey.Ed25519 {
				return usage("--type %q: want rsa or ed25519", kind)
			}
			if kind == dkimkey.RSA && (bits < dkimkey.MinBits || bits > dkimkey.MaxBits) {
				return usage("--bits: want %d to %d", dkimkey.MinBits, dkimkey.MaxBits)
			}
			return t.keygen(keyText{Domain: domain, Selector: selector, File: file}, kind, bits)
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "type", dkimkey.RSA, "rsa or ed25519")
	f.IntVar(&bits, "bits", dkimkey.MinBits, "bits of an RSA key")
	f.StringVar(&file, "file", "", "where the private key goes (default SELECTOR.DOMAIN.pem)")
	return c
}

func (t *tool) keygen(k keyText, kind string, bits int) error {
	key, err := dkimkey.Generate(kind, bits)
	if err != nil {
		return &exitError{status: exitFailure, msg: err.Error()}
	}
	if k.Record, err = dkimkey.Record(key.Public()); err != nil {
		return &exitError{status: exitFailure, msg: err.Error()}
	}
	if k.File, err = filepath.Abs(k.File); err == nil {
		err = dkimkey.Write(k.File, key)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return (&exitError{status: exitFailure, msg: k.File + " is there already"}).withHint("a key is never written over: take another selector, or --file")
	case err != nil:
		return &exitError{status: exitFailure, msg: "the key cannot be written: " + err.Error()}
	}
	k.Name = dkimkey.Name(k.Selector, k.Domain)
	if t.output == "json" {
		return t.json(k)
	}
	_, err = fmt.Fprintf(t.out, `; publish this record, and wait until it is seen: mtactl dkim check %s %s
%s

# then add this to mtad's configuration; mtad has to be able to read the file
filters:
  sign:
    kind: dkim
    dkim:
      keys:
        - {domain: %s, selector: %s, file: %q}
# and put sign last in the chain of the listeners whose mail is yours
`, k.Domain, k.Selector, dkimkey.ZoneLine(k.Selector, k.Domain, k.Record), k.Domain, k.Selector, k.File)
	return wrote(err)
}

func (t *tool) dkimCheckCommand() *cobra.Command {
	var file, server string
	c := &cobra.Command{
		Use: "check DOMAIN SELECTOR", Short: "Look up the record of a key",
		Long: `Look up the DNS record of a key, and say whether it can be used; with --file, whether it is that of a private key. The status is 2 where there is no record, 1 where it does not fit, and 75 where the DNS gives no answer.`,
		Args: twoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			domain, selector, err := keyNames(args)
			if err != nil {
				return err
			}
			var public crypto.PublicKey
			if file != "" {
				key, err := dkimkey.Read(file)
				if err != nil {
					return &exitError{status: exitFailure, msg: file + ": " + err.Error()}
				}
				public = key.Public()
			}
			return t.checkKey(c.Context(), dkimkey.Name(selector, domain), server, public)
		},
	}
	f := c.Flags()
	f.StringVar(&file, "file", "", "PEM file with the private key that the record has to fit")
	f.StringVar(&server, "dns-server", "", "whom to ask, as address:port (default: the servers of this machine)")
	return c
}

func twoArgs(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usage("%s wants a domain and a selector", c.CommandPath())
	}
	return nil
}

var dnsLabels = regexp.MustCompile(`^([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*$`)

// keyNames are DOMAIN and SELECTOR: they become file names and lines of others'
// files.
func keyNames(args []string) (domain, selector string, err error) {
	domain, selector = strings.ToLower(strings.TrimSuffix(args[0], ".")), strings.ToLower(args[1])
	switch {
	case len(domain) > 180 || !dnsLabels.MatchString(domain):
		return "", "", usage("%q is not a domain", args[0]).withHint("an internationalised domain is written as A-labels (xn--…)")
	case len(selector) > 63 || !dnsLabels.MatchString(selector):
		return "", "", usage("%q is not a selector", args[1]).withHint("letters, digits and hyphens, as in s2027a")
	}
	return domain, selector, nil
}
