package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// String writes the filter as an expression that ParseFilter reads back, for
// every Filter that an expression can say: patterns that are not empty, IDs that
// are valid, ages of whole seconds, sizes below 4G·1G octets.
func (f Filter) String() string {
	var t []string
	add := func(format string, args ...any) { t = append(t, fmt.Sprintf(format, args...)) }
	if len(f.States) > 0 {
		add("state=%s", joined(f.States))
	}
	if len(f.IDs) > 0 {
		add("id=%s", joined(f.IDs))
	}
	for _, name := range []string{"sender", "recipient", "next-hop", "stage", "chain", "hold-by", "reason"} {
		if v := *f.pattern(name); v != "" {
			add("%s=%s", name, quoteTerm(v))
		}
	}
	if f.Held != nil {
		add("%s", map[bool]string{true: "held", false: "held=no"}[*f.Held])
	}
	if f.Quarantined != nil {
		add("%s", map[bool]string{true: "quarantined", false: "quarantined=no"}[*f.Quarantined])
	}
	if f.Origin != nil {
		add("origin=%s", f.Origin)
	}
	if f.Parent != "" {
		add("parent=%s", f.Parent)
	}
	if f.OlderThan != 0 {
		add("age>%s", printAge(f.OlderThan))
	}
	if f.YoungerThan != 0 {
		add("age<%s", printAge(f.YoungerThan))
	}
	if f.MinSize != 0 {
		add("size>%s", printSize(f.MinSize, -1))
	}
	if f.MaxSize != 0 {
		add("size<%s", printSize(f.MaxSize, 1))
	}
	return strings.Join(t, " ")
}

func joined[T any](list []T) string {
	var s []string
	for _, v := range list {
		s = append(s, fmt.Sprint(v))
	}
	return strings.Join(s, ",")
}

// quoteTerm writes a value plainly where it reads back as itself, in quotes
// otherwise.
func quoteTerm(v string) string {
	if term, err := nextTerm(v); err == "" && term == v && !enclosed(v) {
		return v
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(v) + `"`
}

func printAge(d time.Duration) string {
	var b strings.Builder
	for _, unit := range []byte("dhms") {
		if n := d / ageUnits[unit]; n > 0 {
			fmt.Fprintf(&b, "%d%c", n, unit)
			d %= ageUnits[unit]
		}
	}
	return b.String()
}

// printSize writes an inclusive bound: as the exclusive one beside it when that
// is rounder.
func printSize(n int64, beside int64) string {
	exact, round := printOctets(n), printOctets(n+beside)
	if len(round) < len(exact) && n+beside > 0 {
		return round
	}
	return "=" + exact
}

func printOctets(n int64) string {
	unit := ""
	for i := range len(sizeUnits) {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, sizeUnits[i:i+1]
	}
	return strconv.FormatInt(n, 10) + unit
}
