package addon_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
)

// Manila's driver: when it is there, the credential it is given, and a class for each share type.
func TestShares(t *testing.T) {
	const network = "7f3c9d9e-4b1c-4a43-9d6a-444444444444"
	c, err := catalogue(t, func(l *addon.List, files fstest.MapFS) {
		for _, name := range []string{addon.ManilaCSI, addon.NFSCSI} {
			text := []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + "}}\n")
			sum := sha256.Sum256(text)
			files[name+".yaml"] = &fstest.MapFile{Data: text}
			l.Addons = append(l.Addons, addon.Entry{
				Name: name, Version: "v1.0.0", Kubernetes: ">=1.30.0-0", File: name + ".yaml", Digest: "sha256:" + hex.EncodeToString(sum[:]),
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]struct {
		reason  string
		labels  map[string]string
		manila  bool
		skipped string
		classes map[string]string // name -> Manila's type
	}{
		"no Manila":        {reason: "nothing to mount", skipped: "the cloud has no Manila"},
		"not wanted":       {reason: "the label says so", manila: true, labels: map[string]string{"manila_csi_enabled": "false"}, skipped: "the label manila_csi_enabled is false"},
		"no share network": {reason: "a tenant makes a class that knows the network", manila: true},
		"a share network": {
			reason: "names of types that are no names of objects included", manila: true, labels: map[string]string{"manila_csi_share_network_id": network},
			classes: map[string]string{"share-default": "default", "share-gold-fast-4f59dfe2": "Gold (fast)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := cluster(is.labels)
			k.Cloud.Shares, k.Cloud.ShareTypes = is.manila, []string{"Gold (fast)", "default"}
			releases := c.Releases(k)
			for _, name := range []string{addon.ManilaCSI, addon.NFSCSI} {
				if r := release(t, releases, name); r.Skipped != is.skipped || r.Problem != "" {
					t.Errorf("%s: skipped %q, problem %q, want %q: %s", name, r.Skipped, r.Problem, is.skipped, is.reason)
				}
			}
			classes, credential := map[string]string{}, ""
			for _, u := range release(t, releases, addon.ManilaCSI).Objects {
				switch u.GetKind() {
				case "StorageClass":
					p, _, _ := unstructured.NestedStringMap(u.Object, "parameters")
					classes[u.GetName()] = p["type"]
					if p["shareNetworkID"] != network || p["csi.storage.k8s.io/provisioner-secret-name"] != "csi-manila-secrets" {
						t.Errorf("parameters %v", p)
					}
				case "Secret":
					data, _, _ := unstructured.NestedStringMap(u.Object, "data")
					text, _ := base64.StdEncoding.DecodeString(data["os-applicationCredentialSecret"])
					credential = string(text)
				}
			}
			if is.skipped == "" && credential != k.Cloud.Secret {
				t.Errorf("the credential is %q", credential)
			}
			if diff := cmp.Diff(is.classes, classes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", is.reason, diff)
			}
		})
	}
}
