package deploy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// The bundle decides what is installed; an older wish of the operator's is no dead end, a newer one is not granted by
// half.
func TestTheBundleDecidesVersions(t *testing.T) {
	for _, tt := range []struct {
		reason           string
		kubernetes, capi string
		strict           bool
		notes            int
		refused          string
	}{
		{reason: "the same", kubernetes: "1.36.4", capi: "1.14.2"},
		{reason: "the seed's", kubernetes: "1.28.13", capi: "1.8.4", notes: 2},
		{reason: "an older patch", kubernetes: "1.36.1", capi: "1.14.2", notes: 1},
		{reason: "newer than the bundle", kubernetes: "1.37.0", capi: "1.14.2", refused: "kubernetes 1.37.0 (kubernetes_version), the bundle has 1.36.4"},
		{reason: "older, and every difference is refused", kubernetes: "1.36.1", capi: "1.14.2", strict: true, refused: "kubernetes 1.36.1 (kubernetes_version), the bundle has 1.36.4"},
		{reason: "the same, strictly", kubernetes: "1.36.4", capi: "1.14.2", strict: true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			b := bundle()
			b.Versions["cluster-api"], b.Versions["cluster-api-openstack"] = "1.14.2", "0.13.0"
			in := seed(t)
			in.Versions.Kubernetes, in.Versions.ClusterAPI, in.Versions.ClusterAPIProviderOpenStack = tt.kubernetes, tt.capi, "0.13.0"
			in.ClusterAPI = intent.ClusterAPI{CoreVersion: tt.capi, BootstrapVersion: tt.capi, ControlPlaneVersion: tt.capi, InfrastructureVersion: "0.13.0"}
			got, notes, err := deploy.Decide(b, in, tt.strict)
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil || len(notes) != tt.notes {
				t.Fatalf("%v, notes %q", err, notes)
			}
			have := []string{got.Versions.Kubernetes, got.Versions.ClusterAPI, got.ClusterAPI.CoreVersion, got.ClusterAPI.BootstrapVersion, got.ClusterAPI.ControlPlaneVersion, got.ClusterAPI.InfrastructureVersion}
			if diff := cmp.Diff([]string{"1.36.4", "1.14.2", "1.14.2", "1.14.2", "1.14.2", "0.13.0"}, have); diff != "" {
				t.Error(diff)
			}
			if in.Versions.Kubernetes != tt.kubernetes {
				t.Error("the configuration that was given has changed")
			}
		})
	}
}
