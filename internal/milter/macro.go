package milter

import "strings"

// Stage is a point of the dialogue at which macros are sent.
type Stage uint8

// The stages, numbered as on the wire.
const (
	AtConnect Stage = iota
	AtHelo
	AtMail
	AtRcpt
	AtData
	AtEnd
	AtEndOfHeaders
	stages
)

// Macros finds the value of a macro by its name: one letter, or a longer name in
// braces, as in "{mail_addr}". ok is false for one that is not known.
type Macros func(name string) (value string, ok bool)

// defaults are the macros sent to a filter that does not say which it wants.
func defaults(s Stage) []string {
	switch s {
	case AtConnect:
		return []string{"j", "_", "v", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{client_addr}", "{client_name}", "{client_ptr}", "{client_port}"}
	case AtHelo:
		return []string{"s", "r", "{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}", "{cert_fingerprint}"}
	case AtMail:
		return []string{"i", "{mail_addr}", "{mail_host}", "{mail_mailer}", "{auth_type}", "{auth_authen}", "{auth_author}"}
	case AtRcpt:
		return []string{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"}
	}
	return []string{"i"}
}

// canonical puts braces around a name of more than one letter.
func canonical(name string) string {
	if bare := strings.Trim(name, "{}"); len(bare) > 1 {
		return "{" + bare + "}"
	} else if bare != "" {
		return bare
	}
	return name
}

// macroPacket is the packet of macros before a command, nil when there are none.
func (s *Session) macroPacket(stage Stage, command byte) []byte {
	if s.Macros == nil {
		return nil
	}
	names, asked := s.agreed.macros[stage]
	if !asked {
		names = defaults(stage)
	}
	b := []byte{command}
	for _, n := range names {
		if v, ok := s.Macros(n); ok && len(b)+len(n)+len(v)+2 <= MaxData {
			b = appendString(appendString(b, n), v)
		}
	}
	if len(b) == 1 {
		return nil
	}
	return b
}
