package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
)

// suiteBound is for other projects' test suites as a whole.
const suiteBound = 20 * time.Minute

// verdicts are what became of the tests of somebody else's suite, by name.
type verdicts map[string]string

// check compares with what is known not to pass, each with its reason, and wants so many that pass: a suite that runs
// nothing proves nothing.
func (v verdicts) check(t *testing.T, passes int, known map[string]string, said string) {
	t.Helper()
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(v)) {
		reason, expected := known[name]
		switch {
		case v[name] == "pass" && expected:
			t.Errorf("%s passes now: take it off the list (%s)", name, reason)
		case v[name] == "pass":
			passed++
		case expected:
			t.Logf("%s: %s, as known: %s", name, v[name], reason)
		default:
			t.Errorf("%s: %s", name, v[name])
		}
	}
	for name := range known {
		if _, ran := v[name]; !ran {
			t.Errorf("%s is on the list of known failures and was not run", name)
		}
	}
	t.Logf("%d of %d tests pass", passed, len(v))
	if passed < passes {
		t.Errorf("%d tests pass, want at least %d", passed, passes)
	}
	if t.Failed() {
		t.Logf("the end of what it printed:\n%s", lastLines(said, 60))
	}
}

// TestGophercloudsOwnTests runs gophercloud's acceptance tests of containerinfra, as its CI runs them against
// DevStack's Magnum. They are internal to its module, so that a copy of the module is what they run in. Three of them
// are skipped in the source, because the cluster never comes in that CI, or because of an id that is written out; the
// first two run here all the same.
func TestGophercloudsOwnTests(t *testing.T) {
	t.Parallel()
	dir := gophercloudModule(t)
	all := shared(t)
	env := append(os.Environ(), "OS_AUTH_URL="+all.keystone("/v3"), "OS_USERNAME=admin", "OS_PASSWORD=admin", "OS_PROJECT_NAME=admin",
		"OS_DOMAIN_NAME=Default", "OS_BRANCH=master", "OS_REGION_NAME=RegionOne", "OS_IMAGE_ID=ubuntu-2204-kube-v1.34.2", "OS_FLAVOR_ID=m1.small",
		"OS_FLAVOR_ID_RESIZE=m1.medium", "OS_POOL_NAME=public", "OS_EXTGW_ID=public", "OS_MAGNUM_IMAGE_ID=ubuntu-2204-kube-v1.34.2",
		"OS_MAGNUM_KEYPAIR="+all.keypair(t, "admin", "gophercloud"), "GOFLAGS=-mod=mod -trimpath", "GOWORK=off")
	ctx, cancel := context.WithTimeout(t.Context(), suiteBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "containerinfra", "-count=1", "-json", "-timeout", suiteBound.String(),
		"./internal/acceptance/openstack/containerinfra/v1")
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	found, said := verdicts{}, ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e.Output = lines.Text() + "\n"
		}
		said += e.Output
		if slices.Contains([]string{"pass", "fail", "skip"}, e.Action) && e.Test != "" {
			found[e.Test] = e.Action
		}
	}
	found.check(t, 9, map[string]string{
		"TestCertificatesCRUD": "skipped in its source: the id of a cluster is written out in it",
	}, said)
}

// gophercloudModule copies the gophercloud that our go.mod has out of the module cache, which cannot be written to, and
// takes two skips away.
func gophercloudModule(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", "github.com/gophercloud/gophercloud/v2").Output()
	version, dir, found := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !found {
		t.Skipf("gophercloud is not in the module cache: %v %s", err, out)
	}
	t.Logf("gophercloud %s", version)
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"clusters_test.go", "nodegroups_test.go"} {
		path := filepath.Join(to, "internal/acceptance/openstack/containerinfra/v1", name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		skip := []byte("\tt.Skip(\"Failure to deploy cluster in CI\")\n")
		if !bytes.Contains(text, skip) {
			t.Errorf("%s is not skipped any more: take this away", name)
		}
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, bytes.Replace(text, skip, nil, 1), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestTempest runs the tests of Magnum's tempest plugin that are not about bays, which left Magnum with microversion
// 1.11.
func TestTempest(t *testing.T) {
	t.Parallel()
	onlyAsClient(t)
	imports(t, "magnum_tempest_plugin, tempest", "magnum-tempest-plugin")
	all := shared(t)
	dir := t.TempDir()
	accounts := ""
	for _, name := range []string{"demo", "other", "small"} {
		accounts += fmt.Sprintf("- {username: %s, password: %s, project_name: %s, domain_name: Default}\n", name, name, name)
	}
	accounts += "- {username: admin, password: admin, project_name: admin, domain_name: Default, types: [admin], roles: [admin]}\n"
	configuration := fmt.Sprintf(`
[DEFAULT]
log_dir = %[1]s
[oslo_concurrency]
lock_path = %[1]s
[auth]
use_dynamic_credentials = false
test_accounts_file = %[1]s/accounts.yaml
admin_username = admin
admin_password = admin
admin_project_name = admin
admin_domain_name = Default
[identity]
uri_v3 = %[2]s
auth_version = v3
region = RegionOne
default_domain_id = default
[magnum]
image_id = ubuntu-2204-kube-v1.34.2
nic_id = public
keypair_name = magnum-test
flavor_id = m1.small
master_flavor_id = m1.small
network_driver = calico
copy_logs = false
`, dir, all.keystone("/v3"))
	for name, text := range map[string]string{"accounts.yaml": accounts, "tempest.conf": configuration} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	suites := []string{"test_cluster", "test_cluster_template", "test_cluster_template_admin", "test_magnum_service"}
	arguments := []string{"-m", "unittest", "-v"}
	for _, s := range suites {
		arguments = append(arguments, "magnum_tempest_plugin.tests.api.v1."+s)
	}
	env := []string{"TEMPEST_CONFIG_DIR=" + dir, "TEMPEST_CONFIG=tempest.conf", "PYTHONWARNINGS=ignore"}
	_, said, err := programWithin(t, suiteBound, env, debianPython, arguments...)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	found := verdicts{}
	for line := range strings.Lines(said) {
		test, verdict, is := strings.Cut(strings.TrimSpace(line), " ... ")
		if !is {
			continue
		}
		test, _, _ = strings.Cut(strings.TrimPrefix(test, "magnum_tempest_plugin.tests.api.v1."), "[")
		if verdict == "ok" {
			verdict = "pass"
		}
		found[test] = verdict
	}
	found.check(t, 29, map[string]string{
		"test_cluster.ClusterTest.test_create_cluster_with_zero_nodes": "it sends no microversion, which is 1.1, and Magnum has clusters without workers from 1.10",
	}, said)
}

// keypair makes a key pair for a user and returns its name.
func (a *allinone) keypair(t *testing.T, user, name string) string {
	t.Helper()
	nova, err := openstack.NewComputeV2(a.as(t, user).provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keypairs.Create(t.Context(), nova, keypairs.CreateOpts{Name: name}).Extract(); err != nil {
		t.Fatal(err)
	}
	return name
}
