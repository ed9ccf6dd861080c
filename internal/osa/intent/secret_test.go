package intent_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// canary stands in user_secrets.yml in place of all sorts of values, good and bad, alone and within others.
const canary = "hunter2"

const secrets = `
download_artifact_url_password: hunter2
cluster_api_github_token: hunter2
kubeadm_download_url: https://user:hunter2@mirror/kubeadm
containerd_https_proxy: http://user:hunter2@proxy:3128
deployment_environment_variables: {https_proxy: "http://user:hunter2@proxy:3128"}
cilium_ipv4_cidr: hunter2
kubernetes_version: hunter2
kubernetes_hostname: hunter2
kubernetes_remove_kube_proxy: hunter2
cluster_api_capo_instance_create_timeout: hunter2
cluster_api_infrastructure_provider: hunter2
kubernetes_custom_ca_key: hunter2
lxc_container_domain: hunter2
lxc_container_backing_store: zfs-hunter2
containerd_insecure_registries: ["http://hunter2"]
containerd_registries: {"a/b": {mirrors: ["https://u:hunter2@m"], ca: hunter2, username: hunter2, password: hunter2, more: hunter2}}
haproxy_k8s_service_overrides: {haproxy_frontend_raw: ["# hunter2"], haproxy_balance_alg: hunter2, haproxy_ssl: hunter2}
extra_lb_vip_addresses: [hunter2]
cilium_helm_values: {deep: [{token: hunter2}]}
deep_token: hunter2
magnum_config_overrides:
  drivers: {openstack_ca_file: hunter2}
  capi_client: {ca_file: /hunter2, endpoint: hunter2}
  cluster_template: {kubernetes_default_network_driver: hunter2, kubernetes_allowed_network_drivers: [hunter2-b]}
cluster_api_backups_enabled: true
cluster_api_backups_path: /hunter2
cluster_api_backups_nodes: [hunter2]
magnum_capi_vexxhost_proxy_install_branch: hunter2
`

// Whatever came from user_secrets.yml is in no output and no finding, but it is there for who asks for it.
func TestSecretsAreNeverShown(t *testing.T) {
	in, found, err := intent.Read(clean(t, edit{"user_secrets.yml", "", secrets}, edit{vars, "", "containerd_http_proxy: \"http://{{ deep_token | upper | lower }}@proxy\"\nkubelet_sysctls: [{name: a, value: \"{{ deep_token }}\"}]"}))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("read", "intent", in, "key", in.CustomCA.Key)
	outputs := map[string]func(reveal bool) string{
		"text":     func(reveal bool) string { var b bytes.Buffer; _ = in.WriteText(&b, reveal); return b.String() },
		"yaml":     func(reveal bool) string { var b bytes.Buffer; _ = in.WriteYAML(&b, reveal); return b.String() },
		"json":     func(reveal bool) string { var b bytes.Buffer; _ = in.WriteJSON(&b, found, reveal); return b.String() },
		"findings": func(bool) string { return fmt.Sprint(found) },
		"log":      func(bool) string { return log.String() },
		"format": func(bool) string {
			return fmt.Sprintf("%v %+v %s %v %#v", in, in, in.CustomCA.Key, in.CustomCA.Key, in.CustomCA.Key)
		},
		"marshal": func(bool) string { b, _ := in.MarshalJSON(); return string(b) },
	}
	for name, write := range outputs {
		for line := range strings.Lines(write(false)) {
			if strings.Contains(line, canary) {
				t.Errorf("%s tells: %s", name, line)
			}
		}
	}
	for _, name := range []string{"text", "yaml", "json"} {
		if n := strings.Count(outputs[name](true), canary); n < 20 {
			t.Errorf("%s with --show-secrets has it only %d times", name, n)
		}
	}
	if in.CustomCA.Key.Reveal() != canary || in.Sources.URLs["kubeadm_download_url"] != "https://user:hunter2@mirror/kubeadm" {
		t.Error("consumers do not get the values")
	}
	if len(in.Secrets()) < 2 {
		t.Errorf("what to hide in fragments: %q", in.Secrets())
	}
}

// A password within a URL is one wherever it was written, and in whatever form a text has it.
func TestPasswordsInURLsAreNeverShown(t *testing.T) {
	const plain = `
containerd_http_proxy: http://user:correct%40horse@proxy:3128
containerd_https_proxy: user:correct-battery@proxy:3128
containerd_no_proxy: 10.0.0.0/8
kubeadm_download_url: https://user:correct@horse@mirror/kubeadm
deployment_environment_variables: {https_proxy: "http://user:correct-staple@proxy:3128"}
cilium_helm_values: {deep: ["oci://user:correct@registry/x"]}
`
	in, found, err := intent.Read(clean(t, edit{vars, "", plain}, edit{"user_secrets.yml", "", "lines: \"first-line-of-it\\nsecond \\\\ \\\"line\\\" of it\"\nuses_it: \"{{ lines }}\""}, edit{vars, "", "lxc_container_domain: \"{{ lines }}\""}))
	if err != nil {
		t.Fatal(err)
	}
	var text, yaml, json bytes.Buffer
	if err := errors.Join(in.WriteText(&text, false), in.WriteYAML(&yaml, false), in.WriteJSON(&json, found, false)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String() + yaml.String() + json.String() + fmt.Sprint(found)) {
		if strings.Contains(line, "correct") {
			t.Errorf("told: %s", line)
		}
	}
	if !strings.Contains(text.String(), "http://user:********@proxy:3128") {
		t.Error("what is no secret of a URL is not shown")
	}
	hide := in.Masker()
	for _, tt := range []struct{ reason, text, want string }{
		{"a proxy in a unit", `Environment="HTTP_PROXY=http://user:correct%%40horse@proxy:3128"`, `Environment="HTTP_PROXY=http://user:********@proxy:3128"`},
		{"one without a scheme", "HTTPS_PROXY=user:correct-battery@proxy:3128", "HTTPS_PROXY=user:********@proxy:3128"},
		{"one that nobody here wrote, of the file that is there", "-HTTP_PROXY=http://old:passw0rd@other:1", "-HTTP_PROXY=http://old:********@other:1"},
		{"a token before a host", "https://ghp_abcdef:@github.com", "https://ghp_abcdef:@github.com"},
		{"an image is none", "registry.k8s.io/pause:3.10@sha256:abc https://host:6443/x@y", "registry.k8s.io/pause:3.10@sha256:abc https://host:6443/x@y"},
		{"a line of a secret of several lines", "+first-line-of-it", "+********"},
		{"a secret as JSON and systemd quote it", `x second \\ \"line\" of it`, "x ********"},
	} {
		if got := hide(tt.text); got != tt.want {
			t.Errorf("%s: %s", tt.reason, got)
		}
	}
}
