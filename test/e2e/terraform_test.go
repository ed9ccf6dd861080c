package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// provider is what "make e2e-clients" builds of the Go module terraform-provider-openstack.
const provider = "../../bin/terraform-provider-openstack"

// terraform is Terraform's (or OpenTofu's) command line in one directory, with the provider taken from where it was
// built: nothing is downloaded.
type terraform struct {
	program, dir string
	env          []string
}

func newTerraform(t *testing.T, all *allinone) terraform {
	t.Helper()
	tf := terraform{dir: t.TempDir()}
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil && tf.program == "" {
			tf.program = path
		}
	}
	at, err := filepath.Abs(provider)
	if err != nil {
		t.Fatal(err)
	}
	configuration := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    %q = %q\n  }\n  direct {}\n}\n",
		"terraform-provider-openstack/openstack", filepath.Dir(at))
	if err := os.WriteFile(filepath.Join(tf.dir, "terraformrc"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/clients/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tf.dir, "main.tf"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	tf.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tf.dir, "TF_CLI_CONFIG_FILE=" + filepath.Join(tf.dir, "terraformrc"), "CHECKPOINT_DISABLE=1",
		"TF_IN_AUTOMATION=1", "OS_CLIENT_CONFIG_FILE=" + filepath.Join(all.stateDir, "clouds.yaml"),
	}
	return tf
}

// run runs terraform and returns its exit status. Waits of the provider are steps of ten seconds, so that its bound is
// a wide one.
func (tf terraform) run(t *testing.T, args ...string) (status int, stdout, both string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tf.program, args...)
	var out, all bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = tf.dir, tf.env, &out, &all
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatalf("terraform %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), all.String())
	}
	return status, out.String(), out.String() + all.String()
}

// apply applies the configuration with these variables, and then plans it again: nothing may be left to do.
func (tf terraform) apply(t *testing.T, variables ...string) {
	t.Helper()
	var given []string
	for _, v := range variables {
		given = append(given, "-var="+v)
	}
	if status, _, said := tf.run(t, append([]string{"apply", "-auto-approve", "-input=false", "-no-color"}, given...)...); status != 0 {
		t.Fatalf("terraform apply with %v: status %d\n%s", variables, status, said)
	}
	status, _, said := tf.run(t, append([]string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}, given...)...)
	if status != 0 {
		t.Fatalf("terraform apply with %v left something to do: status %d (2: changes)\n%s", variables, status, said)
	}
}

// outputs are the configuration's outputs.
func (tf terraform) outputs(t *testing.T) map[string]any {
	t.Helper()
	status, text, said := tf.run(t, "output", "-json", "-no-color")
	var values map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(text), &values); status != 0 || err != nil {
		t.Fatalf("terraform output: status %d, %v\n%s", status, err, said)
	}
	out := map[string]any{}
	for name, v := range values {
		out[name] = v.Value
	}
	return out
}

// TestTerraform is a cluster's life as terraform-provider-openstack lives it: templates, a cluster, a node group,
// resizes, an upgrade, imports, and the end. After every step the plan is empty, which is what breaks first when an
// answer is not what was asked for.
func TestTerraform(t *testing.T) {
	t.Parallel()
	onlyAsClient(t)
	if _, err := os.Stat(provider); err != nil {
		t.Skipf("%v: \"make e2e-clients\" builds it", err)
	}
	all := shared(t)
	tf := newTerraform(t, all)
	if tf.program == "" {
		t.Skip("neither terraform nor tofu is on this machine, and no registry of Debian or Go has one ready")
	}
	_, version, _ := tf.run(t, "version")
	t.Log(strings.Split(version, "\n")[0])
	t.Cleanup(func() {
		if t.Failed() {
			tf.run(t, "destroy", "-auto-approve", "-input=false", "-no-color")
		}
	})
	user := all.as(t, "demo")

	tf.apply(t, "nodes=1", "group=1", "template=v1.34.2")
	made := tf.outputs(t)
	uuid, _ := made["cluster"].(string)
	if made["coe_version"] != "v1.34.2" || made["workers"] != 1.0 || made["role"] != "myRole" || made["found"] != uuid || made["host"] == "" ||
		made["labels"].(map[string]any)["boot_volume_size"] != "20" {
		t.Errorf("made as %v", made)
	}
	tf.apply(t, "nodes=2", "group=1", "template=v1.34.2")
	tf.apply(t, "nodes=2", "group=2", "template=v1.34.2")
	if c := user.reaches(t, uuid, "UPDATE_COMPLETE"); c.NodeCount != 4 {
		t.Errorf("two nodes and a group of two are %d", c.NodeCount)
	}
	tf.apply(t, "nodes=2", "group=2", "template=v1.35.1")
	if got := tf.outputs(t); got["coe_version"] != "v1.35.1" || got["cluster"] != uuid {
		t.Errorf("upgraded to %v", got)
	}

	// What an operator does whose state file is lost.
	variables := []string{"-var=nodes=2", "-var=group=2", "-var=template=v1.35.1"}
	for address, id := range map[string]string{
		"openstack_containerinfra_cluster_v1.cluster": uuid, "openstack_containerinfra_nodegroup_v1.group": uuid + "/" + made["group"].(string),
	} {
		if status, _, said := tf.run(t, "state", "rm", address); status != 0 {
			t.Fatal(said)
		}
		arguments := append([]string{"import", "-input=false", "-no-color"}, variables...)
		if status, _, said := tf.run(t, append(arguments, address, id)...); status != 0 {
			t.Fatalf("import %s: %s", address, said)
		}
	}
	if status, _, said := tf.run(t, append([]string{"destroy", "-auto-approve", "-input=false", "-no-color"}, variables...)...); status != 0 {
		t.Fatal(said)
	}
	user.gone(t, uuid)
}
