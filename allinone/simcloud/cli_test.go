package simcloud

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenStackCommand lets Debian's python3-openstackclient judge whether this is an OpenStack.
func TestOpenStackCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("each command takes a second: not with -short")
	}
	command, err := exec.LookPath("openstack")
	if err != nil {
		t.Skip("the openstack command is not installed: apt install python3-openstackclient")
	}
	r := start(t, func(o *Options) { o.Now = time.Now }) // The client has a clock of its own.
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := r.WriteCloudsYAML(file); err != nil {
		t.Fatal(err)
	}
	run := func(cloud, args string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, command, append([]string{"--os-cloud", cloud}, strings.Fields(args)...)...)
		cmd.Env = append(os.Environ(), "OS_CLIENT_CONFIG_FILE="+file, "HOME="+t.TempDir())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return strings.TrimSpace(out.String()), err
	}
	story := []struct {
		reason, cloud, args string
		want                []string // all of them in the output
		fails               bool
	}{
		{"log in", "demo", "token issue -f value -c project_id", []string{r.projectNamed("demo")}, false},
		{"own projects", "demo", "project list -f value -c Name", []string{"demo"}, false},
		{"all projects", "admin", "project list -f value -c Name", []string{"demo", "other", "admin", "service"}, false},
		{"flavors", "demo", "flavor list -f value -c Name", []string{"m1.tiny", "m1.xlarge", "m1.unschedulable"}, false},
		{"images", "demo", "image list -f value -c Name", []string{"ubuntu-2204-kube-v1.35.1", "cirros"}, false},
		{"an image", "demo", "image show ubuntu-2204-kube-v1.35.1 -f value -c properties", []string{"os_distro", "v1.35.1"}, false},
		{"networks", "demo", "network list -f value -c Name", []string{"public", "private"}, false},
		{"external ones", "demo", "network list --external -f value -c Name", []string{"public"}, false},
		{"key pairs", "demo", "keypair list -f value -c Name", []string{"default"}, false},
		{"make a server group", "demo", "server group create --policy soft-anti-affinity g -f value -c policy", []string{"soft-anti-affinity"}, false},
		{"list it", "reader", "server group list -f value -c Name", []string{"g"}, false},
		{"a reader may not delete it", "reader", "server group delete g", []string{"403"}, true},
		{"delete it", "demo", "server group delete g", nil, false},
		{"make a credential", "demo", "application credential create c -f value -c roles", []string{"member reader"}, false},
		{"the second is a conflict", "demo", "application credential create c", []string{"409"}, true},
		{"delete it", "demo", "application credential delete c", nil, false},
		{"it is gone", "demo", "application credential list -f value", nil, false},
		{"volume types", "demo", "volume type list -f value -c Name", []string{"lvmdriver-1", "fast"}, false},
		{"the catalog", "other", "catalog list -f value -c Type", []string{"container-infra", "load-balancer"}, false},
		{"not signed in", "nobody", "token issue", []string{"nobody"}, true},
	}
	for _, step := range story {
		out, err := run(step.cloud, step.args)
		if (err != nil) != step.fails {
			t.Errorf("%s: openstack %s: %v\n%s", step.reason, step.args, err, out)
			continue
		}
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: openstack %s: want %q in\n%s", step.reason, step.args, want, out)
			}
		}
		if step.want == nil && out != "" {
			t.Errorf("%s: openstack %s: want nothing, got\n%s", step.reason, step.args, out)
		}
	}
}
