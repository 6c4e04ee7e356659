package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// sections are the headings of the document, by the first word of a path.
func sections() [][3]string {
	return [][3]string{
		{"General", "hostname postmaster received_fields", "What mtad is called."},
		{"Spool", "spool", "Where the queue is kept. A setting that voids a promise begins with `allow_`; nothing else does."},
		{"Listeners", "listeners tls", "The doors for SMTP. Each has a name, which logs, metrics and the API use."},
		{"Certificates", "certificates acme", "Beside those of `tls`: one more for each name, and such as are ordered. Files are looked at every 30 seconds, and read again when they have changed."},
		{"Logins", "auth", "Who may log in at listeners of the kinds `submission` and `submissions`. Each section has a name, which listeners name: see [submission-smtp.md](submission-smtp.md)."},
		{"Who may send where", "mynetworks allow_open_relay relay_domains local_domains local routes smarthost", "A recipient is accepted when its domain is in `local_domains` or `relay_domains`, or when the client is in `mynetworks`. With an empty file that means: from this machine to anywhere, from elsewhere nothing."},
		{"Filters and chains", "filters chains", "A listener names a chain; a chain is an ordered list of filters: see [scanners.md](scanners.md), [milters.md](milters.md) and [authentication.md](authentication.md)."},
		{"Quarantine", "quarantine", "What becomes of messages that filters hold and nobody looks at: see [operation.md](operation.md)."},
		{"Queue", "queue", "Bounds of the queue."},
		{"Delivery", "delivery", "How mail goes out."},
		{"API", "api", "The HTTP interface for scanners, `mtactl`, submission and metrics."},
		{"Submission", "submission", "Who may hand in mail with `mtactl submit` and over the API: see [submission.md](submission.md)."},
		{"Events", "webhooks", "Receivers of what happens to mail: see [events.md](events.md). Each has a name."},
		{"Process", "log shutdown", "The daemon itself."},
	}
}

// Document writes docs/configuration.md.
func Document(w io.Writer) error {
	var b strings.Builder
	b.WriteString(documentHead)
	keys := outlineOf(Keys()).keys()
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s[0], s[2])
		b.WriteString("| key | value | default | bounds | on reload | meaning |\n|---|---|---|---|---|---|\n")
		for _, k := range keys {
			first, _, _ := strings.Cut(strings.ReplaceAll(k.Path, "[]", ""), ".")
			if strings.Contains(" "+s[1]+" ", " "+first+" ") {
				b.WriteString(documentRow(k))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const documentHead = "# Configuration\n\n" +
	"<!-- Generated from internal/config by `go generate ./internal/config`. -->\n\n" +
	"mtad reads one YAML file: `mtad run -c FILE`. `mtad check -c FILE` says what is wrong with it, with line and column, and ends with 78 if anything is.\n" +
	"Every key has a default; an empty file is a working loopback system: SMTP on 127.0.0.1:2525, the API on 127.0.0.1:8025 and a unix socket in the\n" +
	"spool directory, mail for the host name into maildirs, mail from this machine out to the world.\n\n" +
	"Durations are whole numbers with `w`, `d`, `h`, `m`, `s` or `ms` (`1h30m`); sizes are octets, with `K`, `M`, `G` or `T` for powers of 1024. A path that\n" +
	"does not begin with `/` is relative to the directory of the file. `*` in a key is a name of your choice, `[]` an item of a list.\n" +
	"Unknown keys, keys given twice, anchors and aliases are errors.\n\n" +
	"SIGHUP reads the file again. A file with errors changes nothing. Keys marked *live* take effect at once; a change of another one is logged and waits for a restart.\n" +
	"Certificates are read again in any case. Sessions of listeners that did not change go on; those of a listener that did are told 421 when they wait for a command, and finish a message that is under way.\n"

func documentRow(k Key) string {
	def := "–"
	switch {
	case k.Required:
		def = "required"
	case k.Default != "":
		def = "`" + k.Default + "`"
	}
	live := "restart"
	if k.Live {
		live = "live"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n", k.Path, k.Type(), def, k.bounds(), live, k.Doc)
}

func (k Key) bounds() string {
	switch {
	case len(k.Enum) > 0:
		return "`" + strings.Join(k.Enum, "`, `") + "`"
	case k.Min != "" && k.Max != "":
		return k.Min + " … " + k.Max
	}
	return ""
}

// Type is a word for what the value is: "size", "duration", "list of networks" …
func (k Key) Type() string {
	t, ok := typeOf(reflect.TypeFor[Config](), k.Path)
	if !ok {
		return ""
	}
	switch {
	case t == networksType:
		return "list of networks"
	case t.Kind() == reflect.Slice:
		return "list of " + plural(k.word(t.Elem()))
	}
	return k.word(t)
}

func (k Key) word(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == sizeType:
		return "size"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case len(k.Enum) > 0:
		return "word"
	}
	words := map[string]string{"": "text", "nexthop": "next hop", "peer": "address", "field": "name", "url": "URL", "pointer": "JSON Pointer", "exit": "text", "assignment": "text", "pattern": "domain", "sha256": "hash", "match": "pattern", "localpart": "name", "octet": "character"}
	if w, ok := words[k.Is]; ok {
		return w
	}
	return k.Is
}

// typeOf follows a path of the table through the types.
func typeOf(t reflect.Type, path string) (reflect.Type, bool) {
	for _, name := range strings.Split(strings.ReplaceAll(path, "[]", ".[]"), ".") {
		switch {
		case name == "*" && t.Kind() == reflect.Map, name == "[]" && t.Kind() == reflect.Slice:
			t = t.Elem()
			continue
		case t.Kind() != reflect.Struct:
			return nil, false
		}
		next := reflect.Type(nil)
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("yaml") == name {
				next = t.Field(i).Type
			}
		}
		if next == nil {
			return nil, false
		}
		t = next
	}
	return t, true
}

// WriteDefaults writes all keys with their defaults as a commented-out file.
func WriteDefaults(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Every key of mtad with its default. What is not given here keeps it.\n")
	outlineOf(Keys()).write(&b, "# ")
	_, err := io.WriteString(w, b.String())
	return err
}

func yamlDefault(k Key) string {
	if strings.HasPrefix(k.Type(), "list") {
		return "[" + k.Default + "]"
	}
	if k.Default == "" {
		return "# " + k.Type()
	}
	return k.Default
}

func plural(word string) string {
	if strings.HasSuffix(word, "s") {
		return word + "es"
	}
	return word + "s"
}
