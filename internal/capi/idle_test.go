package capi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
)

// TestIdle: what a request is refused for is taken when an older template brings it. The owner reads that it does
// nothing.
func TestIdle(t *testing.T) {
	c, _ := aCluster()
	c.Labels["octavia_provider"], c.Labels["boot_volume_size"], c.Labels["boot_volume_type"] = "ovn", "20", "fast"
	texts := func(opts capi.Options) (out []string) {
		for _, err := range capi.Idle(c, opts) {
			out = append(out, err.Error())
		}
		return out
	}
	if got := texts(capi.Options{}); got != nil {
		t.Errorf("all of this acts, got %q", got)
	}
	c.Template.RegistryEnabled, c.MasterLBEnabled = true, false
	c.Labels["api_server_lb_flavor"], c.Labels["monitoring_enabled"], c.Labels["boot_volume_size"] = "big", "true", "0"
	want := []string{
		"A registry in the cluster (registry_enabled True) is not supported. Leave it out. To pull from a registry of your own, name it in " +
			"label container_infra_prefix",
		`label api_server_lb_flavor is "big" and has no effect without a load balancer of the API server. Leave it out, or set master_lb_enabled to true`,
		`label boot_volume_type is "fast" and has no effect without a volume to boot from. Leave it out, or set label boot_volume_size`,
		"these labels are not known: monitoring_enabled",
	}
	if diff := cmp.Diff(want, texts(capi.Options{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	delete(c.Labels, "boot_volume_size")
	if got := texts(capi.Options{BootVolumeSize: 20}); len(got) != 3 {
		t.Errorf("the operator's default is a volume to boot from, got %q", got)
	}
}
