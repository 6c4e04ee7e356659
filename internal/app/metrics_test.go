package app_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mtad/internal/app"
	"mtad/internal/config"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

var described = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// rows lists every metric that a whole App can show, one row of the document
// each.
func rows(t *testing.T, a *app.App) []string {
	t.Helper()
	ch := make(chan *prometheus.Desc, 1000)
	a.Metrics().Describe(ch)
	close(ch)
	seen := map[string]string{}
	for d := range ch {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		if strings.HasPrefix(m[1], "go_") || strings.HasPrefix(m[1], "process_") {
			continue
		}
		if !strings.HasPrefix(m[1], "mtad_") {
			t.Errorf("%s: every metric begins with mtad_", m[1])
		}
		if m[2] == "" {
			t.Errorf("%s has no help", m[1])
		}
		seen[m[1]] = fmt.Sprintf("| `%s` | %s | %s |", m[1], labels(m[3], m[4]), m[2])
	}
	var out []string
	for _, row := range seen {
		out = append(out, row)
	}
	slices.Sort(out)
	return out
}

func labels(constant, variable string) string {
	var names []string
	for _, pair := range strings.Split(constant, ",") {
		if name, _, ok := strings.Cut(pair, "="); ok {
			names = append(names, name)
		}
	}
	for _, name := range strings.Split(variable, ",") {
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

const metricsHead = `# Metrics

<!-- Generated: go test ./internal/app -run TestMetrics -update -->

` + "`GET /metrics` of the API, in the format of Prometheus, with the scope `metrics`." + ` Besides those below there are the usual ones of the process and of the Go
runtime (` + "`process_…`, `go_…`" + `). Names with ` + "`_total`" + ` are counters since the start; those with ` + "`_seconds`" + ` that are no age or time of day are histograms.
Alerts on them are in ` + "`deploy/prometheus/alerts.yaml`, a dashboard in `deploy/grafana/mtad.json`" + `.

| metric | labels | meaning |
|---|---|---|
`

func TestMetricsDocumentIsComplete(t *testing.T) {
	a, _ := start(t, read(t, t.TempDir(), relayConfig("127.0.0.1:1")))
	want := []byte(metricsHead + strings.Join(rows(t, a), "\n") + "\n")
	const path = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/metrics.md is stale: go test ./internal/app -run TestMetrics -update")
	}
}

// The configurations that are shipped are good ones.
func TestShippedConfigurationsAreValid(t *testing.T) {
	for _, path := range []string{"../../deploy/systemd/mtad.yaml", "../../deploy/container/mtad.yaml"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Parse(path, b)
		if err == nil {
			err = app.Check(cfg)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// What alerts and dashboard ask for is there.
func TestAlertsAndDashboardUseMetricsThatExist(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`mtad_[a-z0-9_]+`)
	for _, path := range []string{"../../deploy/prometheus/alerts.yaml", "../../deploy/grafana/mtad.json"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var parsed map[string]any
		if err := yaml.Unmarshal(b, &parsed); err != nil { // JSON is YAML
			t.Errorf("%s: %v", path, err)
		}
		for _, n := range name.FindAllString(string(b), -1) {
			base := n
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !bytes.Contains(doc, []byte("`"+base+"`")) {
				t.Errorf("%s uses %s, which there is not", path, n)
			}
		}
	}
}
