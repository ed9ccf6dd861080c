package addon_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
)

type rule struct {
	groups, resources, verbs, names []string
}

func rulesOf(t *testing.T, s addon.Scaled) map[string]rule {
	t.Helper()
	c := cluster(nil)
	c.Home.Namespace = "magnum-system"
	role := addon.AutoscalerRole(c, s)
	if role.GetNamespace() != "magnum-system" || role.GetName() != c.Stack+"-autoscaler" || role.GetLabels()[addon.Label] != addon.Autoscaler {
		t.Errorf("the role is %v", role.Object["metadata"])
	}
	texts := func(v any) (out []string) {
		list, _ := v.([]any)
		for _, s := range list {
			out = append(out, s.(string))
		}
		return out
	}
	out := map[string]rule{}
	for _, v := range role.Object["rules"].([]any) {
		r := v.(map[string]any)
		resources := texts(r["resources"])
		out[resources[0]+" "+texts(r["verbs"])[0]] = rule{texts(r["apiGroups"]), resources, texts(r["verbs"]), texts(r["resourceNames"])}
	}
	return out
}

// TestAutoscalerRole: an autoscaler changes its own cluster's groups and machines, by their names, and nothing else.
// The first rule is what its watches need: it has no names, and no verb that changes something.
func TestAutoscalerRole(t *testing.T) {
	watches := rule{
		[]string{"cluster.x-k8s.io"}, []string{"machinedeployments", "machinepools", "machines", "machinesets"}, []string{"get", "list", "watch"}, nil,
	}
	for name, tc := range map[string]struct {
		reason string
		scaled addon.Scaled
		want   map[string]rule
	}{
		"all": {
			reason: "Sorted and once each, so that the same machines are the same role.",
			scaled: addon.Scaled{Deployments: []string{"b", "a"}, Machines: []string{"m2", "m1"}, Templates: []string{"t", "t"}},
			want: map[string]rule{
				"machinedeployments get": watches,
				"machinedeployments/scale get": {
					[]string{"cluster.x-k8s.io"}, []string{"machinedeployments/scale"}, []string{"get", "patch", "update"}, []string{"a", "b"},
				},
				"machines patch": {[]string{"cluster.x-k8s.io"}, []string{"machines"}, []string{"patch", "update"}, []string{"m1", "m2"}},
				"openstackmachinetemplates get": {
					[]string{"infrastructure.cluster.x-k8s.io"}, []string{"openstackmachinetemplates"}, []string{"get"}, []string{"t"},
				},
			},
		},
		"none yet": {
			reason: "A rule with an empty list of names would be a rule for every cluster's.",
			want:   map[string]rule{"machinedeployments get": watches},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, rulesOf(t, tc.scaled), cmp.AllowUnexported(rule{})); diff != "" {
				t.Errorf("%s\n-want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestWhoHasAnAutoscaler, and whose image it runs: the operator's. A tenant's mirror does not say what runs in the
// management cluster.
func TestWhoHasAnAutoscaler(t *testing.T) {
	const upstream = "registry.k8s.io/autoscaling/cluster-autoscaler"
	c, err := catalogue(t, func(list *addon.List, files fstest.MapFS) {
		text := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: a, image: \"" + upstream + ":v1.36.0\"}]}}}\n"
		files["scaler.yaml"] = &fstest.MapFile{Data: []byte(text)}
		list.Addons = append(list.Addons, addon.Entry{
			Name: addon.Autoscaler, Version: "v1.36.0", Kubernetes: ">=1.30.0-0", File: "scaler.yaml", Digest: digest([]byte(text)), Images: []string{upstream + ":v1.36.0"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason  string
		labels  map[string]string
		home    addon.Home
		skipped string
		image   string
	}{
		"not asked for": {reason: "The label is false by default.", home: addon.Home{RunsPods: true}, skipped: "the label auto_scaling_enabled is not true"},
		"asked for": {
			reason: "Upstream's image.", labels: map[string]string{"auto_scaling_enabled": "true"}, home: addon.Home{RunsPods: true},
			image: upstream + ":v1.36.0",
		},
		"operator's registry": {
			reason: "[auto_scaling] image_repository.", labels: map[string]string{"auto_scaling_enabled": "true"},
			home: addon.Home{RunsPods: true, Repository: "registry.example.com/mirror/"}, image: "registry.example.com/mirror/cluster-autoscaler:v1.36.0",
		},
		"tenant's mirror": {
			reason: "Anybody may set this label.", home: addon.Home{RunsPods: true}, image: upstream + ":v1.36.0",
			labels: map[string]string{"auto_scaling_enabled": "true", "container_infra_prefix": "evil.example.com"},
		},
		"excluded": {
			reason: "An operator runs one already.", home: addon.Home{RunsPods: true}, skipped: "the label addons_excluded names it",
			labels: map[string]string{"auto_scaling_enabled": "true", "addons_excluded": "cluster-autoscaler"},
		},
		"no pods": {reason: "The all-in-one's management cluster.", labels: map[string]string{"auto_scaling_enabled": "true"}, skipped: "the management cluster runs no pods"},
	} {
		t.Run(name, func(t *testing.T) {
			in := cluster(tc.labels)
			in.Home, in.Home.Namespace = tc.home, "magnum-system"
			for _, r := range c.Releases(in) {
				if r.Name != addon.Autoscaler {
					if r.Home {
						t.Errorf("%s is for the management cluster", r.Name)
					}
					continue
				}
				if r.Skipped != tc.skipped || !r.Home || r.Problem != "" {
					t.Errorf("%s: skipped %q, want %q; home %v; problem %q", tc.reason, r.Skipped, tc.skipped, r.Home, r.Problem)
				}
				images := addon.Images(r.Objects)
				if tc.image != "" && !cmp.Equal(images, []string{tc.image}) {
					t.Errorf("%s: it runs %v, want %s", tc.reason, images, tc.image)
				}
				for _, u := range r.Objects {
					if u.GetNamespace() != "magnum-system" {
						t.Errorf("%s %s is in %q", u.GetKind(), u.GetName(), u.GetNamespace())
					}
				}
			}
		})
	}
}
