package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
)

// checkFiles looks at what the configuration points to.
func (c *Config) checkFiles(self *os.File) Problems {
	k := &checker{Config: c}
	if fi, err := self.Stat(); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o002 != 0 {
		k.add("", "anybody may write this file", "chmod o-w "+c.File)
	}
	k.loadable("tls", c.TLS)
	k.loadable("api.tls", c.API.TLS)
	for i, x := range c.Certificates {
		k.loadable(fmt.Sprintf("certificates[%d]", i), TLS{Certificate: x.Certificate, Key: x.Key})
	}
	k.authFiles()
	k.certificates("acme.certificate_authorities", c.ACME.Authorities)
	for name, f := range c.Filters {
		k.secret("filters."+name+".rspamd.password_file", f.Rspamd.PasswordFile)
		k.dkimFiles("filters."+name+".dkim", f.DKIM)
		k.secret("filters."+name+".webhook.sign_file", f.Webhook.SignFile)
		if h, ok := f.Hook(); ok {
			k.secret("filters."+name+"."+f.Kind+".auth_file", h.AuthFile)
			k.certificates("filters."+name+"."+f.Kind+".ca_file", h.CAFile)
		}
	}
	for name, t := range c.Webhooks {
		k.secret("webhooks."+name+".secret_file", t.SecretFile)
		k.certificates("webhooks."+name+".ca_file", t.CAFile)
	}
	for name, l := range c.Listeners {
		k.loadable("listeners."+name+".tls", l.TLS)
	}
	return k.problems
}

func (k *checker) loadable(key string, t TLS) {
	if t.Certificate == "" {
		return
	}
	fi, err := os.Stat(t.Key)
	if err != nil {
		k.add(key+".key", "the key "+t.Key+" cannot be read: "+reason(err), "")
		return
	}
	if fi.Mode().Perm()&0o007 != 0 {
		k.add(key+".key", fmt.Sprintf("others may read the key (mode %04o)", fi.Mode().Perm()), "chmod o= "+t.Key)
	}
	if _, err := os.ReadFile(t.Certificate); err != nil {
		k.add(key+".certificate", "the certificate "+t.Certificate+" cannot be read: "+reason(err), "")
		return
	}
	if _, err := tls.LoadX509KeyPair(t.Certificate, t.Key); err != nil {
		k.add(key+".certificate", "certificate and key cannot be used: "+err.Error(), "both are PEM files, and belong together")
	}
}

// secret is a file that mtad can read, and others cannot.
func (k *checker) secret(key, path string) {
	if path == "" {
		return
	}
	fi, err := os.Stat(path)
	if err == nil {
		_, err = os.ReadFile(path)
	}
	switch {
	case err != nil:
		k.add(key, path+" cannot be read: "+reason(err), "")
	case fi.Mode().Perm()&0o007 != 0:
		k.add(key, fmt.Sprintf("others may read %s (mode %04o)", path, fi.Mode().Perm()), "chmod o= "+path)
	}
}

// certificates is a PEM file with at least one of them.
func (k *checker) certificates(key, path string) {
	if path == "" {
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		k.add(key, "the certificates "+path+" cannot be read: "+reason(err), "")
	} else if !x509.NewCertPool().AppendCertsFromPEM(b) {
		k.add(key, "there is no certificate in it", "a PEM file")
	}
}

func reason(err error) string {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
