package cli_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

const alertRules = "../../docs/alerts/jeroboam.rules.yaml"

// described gathers the names of metrics from their descriptions: some have no value before something happens.
type described map[string]bool

var descName = regexp.MustCompile(`fqName: "([^"]+)"`)

// Register implements prometheus.Registerer.
func (d described) Register(c prometheus.Collector) error {
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
func (d described) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = d.Register(c)
	}
}

// Unregister implements prometheus.Registerer.
func (described) Unregister(prometheus.Collector) bool { return false }

// An alert on a metric that nobody writes never fires, and nobody notices.
func TestAlertsAreOnMetricsThatExist(t *testing.T) {
	known := described{
		"up": true, // Prometheus' own
		"controller_runtime_reconcile_errors_total": true, // controller-runtime 0.24, internal/controller/metrics
	}
	api.New(api.Options{Metrics: known})
	known.MustRegister((&store.View{}).Usage(time.Now))

	text, err := os.ReadFile(alertRules)
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
	metric := regexp.MustCompile(`\b(up|[a-z]+(_[a-z0-9]+)+)\{?`)
	functions := map[string]bool{"histogram_quantile": true}
	rules := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			if r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
				t.Errorf("%s: an alert has a time, a severity, a summary and says what to do", r.Alert)
			}
			seen := 0
			expr := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(r.Expr, "")
			for _, found := range metric.FindAllStringSubmatch(expr, -1) {
				switch {
				case functions[found[1]]:
				case !known[found[1]]:
					t.Errorf("%s: nobody writes the metric %s", r.Alert, found[1])
				default:
					seen++
				}
			}
			if seen == 0 {
				t.Errorf("%s looks at no metric: %s", r.Alert, r.Expr)
			}
		}
	}
	if rules == 0 {
		t.Error("there are no rules")
	}
}

// Prometheus' own judgement of the rules, and of when they fire.
func TestAlertsByPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (apt-get install prometheus): the rules are not tested by Prometheus itself")
	}
	for _, args := range [][]string{{"check", "rules", "jeroboam.rules.yaml"}, {"test", "rules", "jeroboam.test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "../../docs/alerts"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
