package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/notify"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

const alerts = "../../docs/alerts/"

// written gathers the names of metrics from their descriptions: some have no value before something happens.
type written map[string]bool

var descName = regexp.MustCompile(`fqName: "([^"]+)"`)

// Register implements prometheus.Registerer.
func (d written) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	for desc := range descs {
		name := descName.FindStringSubmatch(desc.String())[1]
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			d[name+suffix] = true
		}
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (d written) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = d.Register(c)
	}
}

// Unregister implements prometheus.Registerer.
func (written) Unregister(prometheus.Collector) bool { return false }

// allMetrics are the names of all that a server, and a look at a deployment, write.
func allMetrics(t *testing.T) written {
	t.Helper()
	known := written{
		"up": true, // Prometheus' own
		"controller_runtime_reconcile_errors_total": true, // controller-runtime 0.24, internal/controller/metrics
	}
	api.New(api.Options{Metrics: known})
	known.MustRegister((&store.View{}).Usage(time.Now))
	known.MustRegister((&notify.Hook{}).Metrics()...)
	for line := range strings.SplitSeq(textMetrics(t, everything()), "\n") {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			known[strings.Fields(name)[0]] = true
		}
	}
	return known
}

var (
	metric    = regexp.MustCompile(`\b(up|[a-z]+(_[a-z0-9]+)+)\b`)
	quoted    = regexp.MustCompile(`"[^"]*"`)
	functions = map[string]bool{"histogram_quantile": true}
)

// unknown are the metrics of an expression that nobody writes, and whether it looks at one at all.
func unknown(expr string, known written) (missing []string, looks bool) {
	for _, found := range metric.FindAllStringSubmatch(quoted.ReplaceAllString(expr, ""), -1) {
		switch {
		case functions[found[1]]:
		case known[found[1]]:
			looks = true
		default:
			missing = append(missing, found[1])
		}
	}
	return missing, looks
}

// An alert on a metric that nobody writes never fires, and nobody notices.
func TestAlertsAreOnMetricsThatExist(t *testing.T) {
	known := allMetrics(t)
	for _, name := range []string{"jeroboam.rules.yaml", "deploy.rules.yaml"} {
		text, err := os.ReadFile(alerts + name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Groups []struct {
				Name  string
				Rules []struct {
					Alert, Expr, For    string
					Labels, Annotations map[string]string
				}
			}
		}
		if err := yaml.UnmarshalStrict(text, &file); err != nil {
			t.Fatal(err)
		}
		if len(file.Groups) == 0 || len(file.Groups[0].Rules) == 0 {
			t.Errorf("%s: there are no rules", name)
		}
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
					t.Errorf("%s: an alert has a time, a severity, a summary and says what to do", r.Alert)
				}
				if missing, looks := unknown(r.Expr, known); len(missing) > 0 || !looks {
					t.Errorf("%s: nobody writes %q in %s", r.Alert, missing, r.Expr)
				}
			}
		}
	}
}

// promtool runs Prometheus' own judge in the directory of the rules.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (apt-get install prometheus): the rules are not tested by Prometheus itself")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = alerts
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Prometheus' own judgement of the rules, and of when they fire.
func TestAlertsByPromtool(t *testing.T) {
	promtool(t, "check", "rules", "jeroboam.rules.yaml", "deploy.rules.yaml")
	promtool(t, "test", "rules", "jeroboam.test.yaml", "deploy.test.yaml")
}

// dashboard is what of Grafana's dashboard model a mistake by hand would break.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
}

// A panel on a metric that nobody writes stays empty, and an expression that Prometheus cannot read is an error on a
// wall.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../docs/dashboards/jeroboam.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	known, seen, rules := allMetrics(t), map[int]bool{}, "groups:\n- name: dashboard\n  rules:\n"
	for _, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %d %q: its ID, title, place or targets are wrong", p.ID, p.Title)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			if missing, looks := unknown(target.Expr, known); len(missing) > 0 || !looks {
				t.Errorf("%s: nobody writes %q in %s", p.Title, missing, target.Expr)
			}
			expr, err := json.Marshal(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")) // JSON's strings are YAML's
			if err != nil {
				t.Fatal(err)
			}
			rules += fmt.Sprintf("  - {record: 'p:%d%s', expr: %s}\n", p.ID, target.RefID, expr)
		}
	}
	if d.UID == "" || d.SchemaVersion == 0 || len(seen) < 10 {
		t.Errorf("this is no dashboard: %+v", d)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
