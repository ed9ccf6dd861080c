package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// What a deployment writes is what the server reads: the account, the port, the load balancers that are believed.
func TestServerReadsWhatDeployWrites(t *testing.T) {
	in, _, err := intent.Read(intent.Options{Config: "../osa/testdata/oracle/ha3/deploy", Environment: "../osa/testdata/base/30.1.5", System: "testdata/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	in.Magnum.Service.Password = intent.NewSecret("hunter2-of-magnum")
	found := withoutMeaning(in)
	if len(found) != 1 || !strings.Contains(found[0].Text, "[nova_client] api_version") || strings.Contains(found[0].Text, "kubernetes_default_network_driver") {
		t.Errorf("options without a meaning: %v", found)
	}
	in.Magnum.DriversCAFile, in.Magnum.CAPIClientCAFile = "", ""
	delete(in.Magnum.ConfigOverrides, "drivers")
	delete(in.Magnum.ConfigOverrides["capi_client"], "ca_file")
	dir := t.TempDir()
	items := magnum.Want(magnum.Wish{Intent: in}, in.Magnum.Hosts[0])
	for _, i := range items {
		if i.File != nil && strings.HasPrefix(i.File.Path, "/etc/magnum/") {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(i.File.Path)), []byte(i.File.Content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := ReadConfig(slog.New(slog.DiscardHandler), nil, filepath.Join(dir, "magnum.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "172.29.239.130:9511" || c.OpenStack.Username != "magnum" || c.OpenStack.Password != "hunter2-of-magnum" || c.OpenStack.ProjectName != "service" {
		t.Errorf("it listens on %s, as %s in %s", c.Listen, c.OpenStack.Username, c.OpenStack.ProjectName)
	}
	if !c.Proxies.Believe || len(c.Proxies.From) != 4 {
		t.Errorf("load balancers: %+v", c.Proxies)
	}
	if len(c.Policy.Files) != 1 || filepath.Base(c.Policy.Files[0]) != "policy.yaml" {
		t.Errorf("policy: %+v", c.Policy)
	}
}
