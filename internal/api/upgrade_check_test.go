package api_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// inside is a workload cluster that is looked into.
type inside struct {
	apis    []workload.DeprecatedAPI
	budgets []workload.Budget
	silent  error
	closed  *int
}

func (i inside) DeprecatedAPIs(context.Context) ([]workload.DeprecatedAPI, error) {
	return i.apis, i.silent
}

func (i inside) Budgets(context.Context) ([]workload.Budget, error) { return i.budgets, nil }

func (i inside) Close() { *i.closed++ }

// TestAnUpgradeIsLookedInto: what would make an upgrade fail or hang is a refusal before anything was changed; or, when
// its owner says so, a warning that the status shows.
func TestAnUpgradeIsLookedInto(t *testing.T) {
	gone := workload.DeprecatedAPI{Group: "batch", Version: "v1beta1", Resource: "cronjobs", Removed: "1.35"}
	later := workload.DeprecatedAPI{Group: "batch", Version: "v2", Resource: "jobs", Removed: "1.36"}
	past := workload.DeprecatedAPI{Group: "policy", Version: "v1beta1", Resource: "podsecuritypolicies", Removed: "1.34"}
	undecided := workload.DeprecatedAPI{Version: "v1", Resource: "endpoints"}
	strict := workload.Budget{Namespace: "shop", Name: "db", Expected: 3, Wanted: 3, Observed: true}
	const removed = "Kubernetes v1.35.0 has removed cronjobs batch/v1beta1, which was used since the API server started."
	cases := map[string]struct {
		reason string
		inside inside
		open   error
		label  string
		to     string // NEW: v1.35.0; else the template of before
		status int
		detail string
		note   string
		born   string // adopted without labels, and running this version
	}{
		"nothing":   {reason: "Nothing is in the way.", inside: inside{apis: []workload.DeprecatedAPI{later, past, undecided}}, to: "NEW", status: 202},
		"an API":    {reason: "Whoever uses it would find it gone.", inside: inside{apis: []workload.DeprecatedAPI{undecided, gone}}, to: "NEW", status: 400, detail: removed},
		"a budget":  {reason: "A drain would wait for ever.", inside: inside{budgets: []workload.Budget{strict}}, to: "NEW", status: 400, detail: "PodDisruptionBudgets allow no eviction, so nodes cannot be drained: shop/db (3 of 3 must stay). Fix that, or set the label upgrade_checks of the cluster to warn."},
		"both":      {reason: "All problems at once.", inside: inside{apis: []workload.DeprecatedAPI{gone}, budgets: []workload.Budget{strict}}, to: "NEW", status: 400, detail: removed + " PodDisruptionBudgets allow no eviction"},
		"no minor":  {reason: "The same version has the same APIs; its nodes are drained all the same.", inside: inside{apis: []workload.DeprecatedAPI{gone}}, to: "k8s", status: 202},
		"same":      {reason: "As said.", inside: inside{budgets: []workload.Budget{strict}}, to: "k8s", status: 400, detail: "PodDisruptionBudgets"},
		"slack":     {reason: "One pod may go.", inside: inside{budgets: []workload.Budget{{Namespace: "a", Name: "b", Expected: 3, Wanted: 2, Observed: true}}}, to: "NEW", status: 202},
		"no pods":   {reason: "Nothing is kept.", inside: inside{budgets: []workload.Budget{{Namespace: "a", Name: "b", Observed: true}}}, to: "NEW", status: 202},
		"new":       {reason: "Its numbers are of before.", inside: inside{budgets: []workload.Budget{{Namespace: "a", Name: "b", Expected: 3, Wanted: 3}}}, to: "NEW", status: 202},
		"warn":      {reason: "The owner wants it all the same.", inside: inside{apis: []workload.DeprecatedAPI{gone}, budgets: []workload.Budget{strict}}, label: "warn", to: "NEW", status: 202, note: removed + " PodDisruptionBudgets allow no eviction"},
		"silent":    {reason: "An upgrade may be what repairs it.", open: errors.New("no route to host"), to: "NEW", status: 202, note: "Nobody could look into the cluster before its upgrade, because it did not answer."},
		"adopted":   {reason: "It has no label, but runs what it runs.", inside: inside{apis: []workload.DeprecatedAPI{gone}}, born: "v1.34.1", to: "NEW", status: 400, detail: removed},
		"too far":   {reason: "So has an adopted one.", inside: inside{}, born: "v1.33.4", to: "NEW", status: 400, detail: "Kubernetes cannot skip minor versions. From v1.33.4 the next is v1.34."},
		"taken":     {reason: "A record without labels gets one.", inside: inside{}, born: "v1.34.1", to: "NEW", status: 202},
		"half mute": {reason: "What is known counts.", inside: inside{silent: errors.New("503"), budgets: []workload.Budget{strict}}, to: "NEW", status: 400, detail: "PodDisruptionBudgets"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			opened, closed := 0, 0
			tc.inside.closed = &closed
			s := newService(t, func(o *api.Options) {
				o.Workload = func(context.Context, policy.Grant, string) (api.Workload, error) {
					if tc.open != nil {
						return nil, tc.open
					}
					opened++
					return tc.inside, nil
				}
			})
			id := s.cluster(t, "k")
			next := strings.NewReplacer("v1.34.1", "v1.35.0", `"k8s"`, `"NEW"`).Replace(goodTemplate)
			s.must(t, 201, "member", "POST", "/v1/clustertemplates", next)
			s.become(id, func(c *magnum.Cluster) {
				c.Labels = map[string]string{"kube_tag": "v1.34.1", "upgrade_checks": tc.label}
				if tc.born != "" {
					c.Labels, c.COEVersion = nil, tc.born
				}
			})
			got := s.send(t, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"`+tc.to+`"}`, version("latest"))
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
			}
			u := s.clusters[0].Upgrade
			if asked := u.Generation == 1; asked != (tc.status == 202) || !strings.HasPrefix(u.Note, tc.note) || tc.note == "" && u.Note != "" {
				t.Errorf("%s: what is asked for is %+v", tc.reason, u)
			}
			if opened != closed {
				t.Errorf("%d connections were opened and %d closed", opened, closed)
			}
		})
	}
}
