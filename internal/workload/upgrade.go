package workload

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DeprecatedAPI is a version of an API that somebody has asked for since the API server started, and that will go.
type DeprecatedAPI struct {
	Group, Version, Resource string
	Removed                  string // the release that has it no more, such as "1.38"; empty: not decided
}

// String is its name as people write it.
func (a DeprecatedAPI) String() string {
	if a.Group == "" {
		return a.Resource + " " + a.Version
	}
	return a.Resource + " " + a.Group + "/" + a.Version
}

// What is read of one cluster is bounded: its owner may have put anything in place of its API server.
const (
	mostAPIs    = 1000 // Kubernetes has some dozens of kinds that are deprecated
	mostBudgets = 5000
	mostMetrics = 64 << 20 // bytes
	longestName = 253      // of whatever Kubernetes gives a name to (k8s.io/apimachinery 1.36, util/validation)
)

// deprecatedMetric is written by the API server (k8s.io/apiserver 1.36, endpoints/metrics: a gauge that is 1 from the
// first request on).
const deprecatedMetric = "apiserver_requested_deprecated_apis{"

var metricLabel = regexp.MustCompile(`([a-z_]+)="([A-Za-z0-9./-]*)"`)

// DeprecatedAPIs asks the API server which deprecated APIs are in use. Of several API servers one answers. An API
// server that shows no metrics is not an error: nothing is known.
func (c *Cluster) DeprecatedAPIs(ctx context.Context) ([]DeprecatedAPI, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/metrics", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	resp, err := c.streams.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, nil
	default:
		return nil, fmt.Errorf("ask for metrics: the API server says %s", resp.Status)
	}
	found := map[DeprecatedAPI]bool{}                                 // one line for each subresource
	lines := bufio.NewScanner(io.LimitReader(resp.Body, mostMetrics)) // line by line
	lines.Buffer(nil, 1<<20)
	for len(found) < mostAPIs && lines.Scan() {
		if a, ok := deprecated(lines.Text()); ok {
			found[a] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b DeprecatedAPI) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource), strings.Compare(a.Version, b.Version))
	}), nil
}

func deprecated(line string) (a DeprecatedAPI, ok bool) {
	if !strings.HasPrefix(line, deprecatedMetric) || strings.HasSuffix(line, " 0") {
		return a, false
	}
	for _, m := range metricLabel.FindAllStringSubmatch(line, 16) {
		if len(m[2]) > longestName {
			return a, false
		}
		switch m[1] {
		case "group":
			a.Group = m[2]
		case "version":
			a.Version = m[2]
		case "resource":
			a.Resource = m[2]
		case "removed_release":
			a.Removed = m[2]
		}
	}
	return a, a.Resource != ""
}

// Budget is a PodDisruptionBudget as far as it matters to drains.
type Budget struct {
	Namespace, Name  string
	Expected, Wanted int64 // pods it is about, and how many of them must stay
	Observed         bool  // its controller has looked at it as it is
}

// Forbids tells that no pod may ever go, however healthy all of them are: a drain would wait for ever.
func (b Budget) Forbids() bool { return b.Observed && b.Expected > 0 && b.Wanted >= b.Expected }

// Budgets lists the cluster's PodDisruptionBudgets.
func (c *Cluster) Budgets(ctx context.Context) ([]Budget, error) {
	r, err := c.resource(schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}, "")
	if err != nil {
		return nil, fmt.Errorf("list PodDisruptionBudgets: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	var out []Budget
	for opts := (metav1.ListOptions{Limit: 500}); len(out) < mostBudgets; {
		list, err := r.List(ctx, opts)
		if err != nil {
			return nil, fmt.Errorf("list PodDisruptionBudgets: %w", err)
		}
		for i := range list.Items {
			if b := budgetOf(&list.Items[i]); len(b.Namespace) <= longestName && len(b.Name) <= longestName {
				out = append(out, b)
			}
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			break
		}
	}
	return out, nil
}

func budgetOf(u *unstructured.Unstructured) Budget {
	number := func(field string) int64 {
		n, _, _ := unstructured.NestedInt64(u.Object, "status", field) // our reading of a served type; absent is 0
		return n
	}
	return Budget{
		Namespace: u.GetNamespace(), Name: u.GetName(), Expected: number("expectedPods"), Wanted: number("desiredHealthy"),
		Observed: number("observedGeneration") >= u.GetGeneration(),
	}
}
