package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/certificates"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/nodegroups"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/quotas"
)

// at is gophercloud's client asking for a microversion; "" sends none, as most of its users do.
func (u *tenant) at(version string) *gophercloud.ServiceClient {
	c := *u.magnum
	c.Microversion = version
	return &c
}

// The same day as in TestClusterWithTheClient, as a Go program and Terraform's provider live it.
func TestGophercloud(t *testing.T) {
	t.Parallel()
	all := shared(t)
	user, ctx := all.as(t, "demo"), t.Context()
	magnum, plain := user.at("1.10"), user.at("")

	templates := map[string]string{}
	for _, version := range []string{"v1.34.2", "v1.35.1"} {
		made, err := clustertemplates.Create(ctx, plain, clustertemplates.CreateOpts{
			Name: "go-" + version, COE: "kubernetes", ImageID: "ubuntu-2204-kube-" + version, ExternalNetworkID: "public",
			FlavorID: "m1.small", MasterFlavorID: "m1.small", NetworkDriver: "calico", MasterLBEnabled: new(true),
			Labels: map[string]string{"kube_tag": version},
		}).Extract()
		if err != nil {
			t.Fatal(err)
		}
		templates[version] = made.UUID
	}
	uuid, err := clusters.Create(ctx, plain, clusters.CreateOpts{
		Name: "go", ClusterTemplateID: templates["v1.34.2"], Keypair: "default", MasterCount: new(1), NodeCount: new(1),
		Labels: map[string]string{"boot_volume_size": "20"}, MergeLabels: new(true),
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	user.deleteAfter(t, uuid)
	// gophercloud reads created_at and updated_at as RFC 3339 in every state.
	complete := func(state string, check func(*clusters.Cluster) error) {
		t.Helper()
		var last *clusters.Cluster
		await(t, "cluster go is "+state, clusterBound, func(ctx context.Context) (bool, string, error) {
			c, err := clusters.Get(ctx, plain, uuid).Extract()
			if err != nil {
				return false, "", giveUp(err.Error())
			}
			if last = c; c.Status != state && len(c.Faults) > 0 {
				return false, "", giveUp(c.StatusReason)
			}
			return c.Status == state, c.Status + " " + c.StatusReason, nil
		})
		if err := check(last); err != nil {
			t.Error(err)
		}
	}
	complete("CREATE_COMPLETE", func(c *clusters.Cluster) error {
		if c.Labels["boot_volume_size"] != "20" || c.Labels["kube_tag"] != "v1.34.2" || c.KeyPair != "default" || c.StackID == "" || c.CreatedAt.IsZero() {
			return fmt.Errorf("created as %+v", c)
		}
		return nil
	})
	pages, err := clusters.List(plain, clusters.ListOpts{Limit: 1}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	list, err := clusters.ExtractClusters(pages)
	if err != nil || !slices.ContainsFunc(list, func(c clusters.Cluster) bool { return c.UUID == uuid }) {
		t.Errorf("pages of one cluster each: %d clusters, %v", len(list), err)
	}

	if _, err := clusters.Resize(ctx, magnum, uuid, clusters.ResizeOpts{NodeCount: new(2)}).Extract(); err != nil {
		t.Fatal(err)
	}
	complete("UPDATE_COMPLETE", func(c *clusters.Cluster) error { return count(c, 1, 2) })
	if _, err := clusters.Update(ctx, magnum, uuid, []clusters.UpdateOptsBuilder{
		clusters.UpdateOpts{Op: clusters.ReplaceOp, Path: "/node_count", Value: 1},
	}).Extract(); err != nil {
		t.Fatal(err)
	}
	complete("UPDATE_COMPLETE", func(c *clusters.Cluster) error { return count(c, 1, 1) })

	group, err := nodegroups.Create(ctx, magnum, uuid, nodegroups.CreateOpts{Name: "go-group", NodeCount: new(1), MaxNodeCount: new(4)}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	complete("UPDATE_COMPLETE", func(c *clusters.Cluster) error { return count(c, 1, 2) })
	if _, err := nodegroups.Update(ctx, magnum, uuid, group.UUID, []nodegroups.UpdateOptsBuilder{
		nodegroups.UpdateOpts{Op: nodegroups.ReplaceOp, Path: "/max_node_count", Value: 3},
	}).Extract(); err != nil {
		t.Error(err)
	}
	if g, err := nodegroups.Get(ctx, magnum, uuid, "go-group").Extract(); err != nil || g.MaxNodeCount == nil || *g.MaxNodeCount != 3 || g.NodeCount != 1 {
		t.Errorf("node group: %+v, %v", g, err)
	}
	groups, err := nodegroups.List(magnum, uuid, nodegroups.ListOpts{Role: "worker"}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := nodegroups.ExtractNodeGroups(groups); err != nil || len(list) != 2 {
		t.Errorf("worker groups: %+v, %v", list, err)
	}
	if err := nodegroups.Delete(ctx, magnum, uuid, group.UUID).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	await(t, "node group go-group is gone", clusterBound, user.groupGone(uuid, group.UUID))
	complete("UPDATE_COMPLETE", func(c *clusters.Cluster) error { return count(c, 1, 1) })

	ca, err := certificates.Get(ctx, plain, uuid).Extract()
	if err != nil || !certificate(t, []byte(ca.PEM)).IsCA {
		t.Errorf("authority: %+v, %v", ca, err)
	}
	csr, _ := newRequest(t)
	signed, err := certificates.Create(ctx, plain, certificates.CreateOpts{ClusterUUID: uuid, CSR: string(csr)}).Extract()
	if err != nil || certificate(t, []byte(signed.PEM)).CheckSignatureFrom(certificate(t, []byte(ca.PEM))) != nil {
		t.Errorf("certificate: %+v, %v", signed, err)
	}

	if _, err := clusters.Upgrade(ctx, magnum, uuid, clusters.UpgradeOpts{ClusterTemplate: templates["v1.35.1"]}).Extract(); err != nil {
		t.Fatal(err)
	}
	complete("UPDATE_COMPLETE", func(c *clusters.Cluster) error {
		if c.COEVersion != "v1.35.1" || c.ClusterTemplateID != templates["v1.35.1"] || c.Labels["boot_volume_size"] != "20" {
			return fmt.Errorf("upgraded to %+v", c)
		}
		return nil
	})
	// Two deletions in a row, as gophercloud's own acceptance tests do.
	for range 2 {
		if err := clusters.Delete(ctx, plain, uuid).ExtractErr(); err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			t.Error(err)
		}
	}
	user.gone(t, uuid)
	for _, template := range templates {
		if err := clustertemplates.Delete(ctx, plain, template).ExtractErr(); err != nil {
			t.Error(err)
		}
	}
}

func count(c *clusters.Cluster, masters, nodes int) error {
	if c.MasterCount != masters || c.NodeCount != nodes {
		return fmt.Errorf("%d masters and %d nodes, want %d and %d", c.MasterCount, c.NodeCount, masters, nodes)
	}
	return nil
}

func TestGophercloudQuotas(t *testing.T) {
	t.Parallel()
	all := shared(t)
	admin, other := all.as(t, "admin"), all.as(t, "other")
	project := other.project(t)
	q, err := quotas.Create(t.Context(), admin.at(""), quotas.CreateOpts{ProjectID: project, Resource: "Cluster", HardLimit: 50}).Extract()
	if err != nil || q.HardLimit != 50 || q.ProjectID != project {
		t.Errorf("quota: %+v, %v", q, err)
	}
	_, err = quotas.Create(t.Context(), admin.at(""), quotas.CreateOpts{ProjectID: project, Resource: "Cluster", HardLimit: 60}).Extract()
	if !gophercloud.ResponseCodeIs(err, http.StatusConflict) {
		t.Errorf("a second quota of the same project: %v, want 409", err)
	}
	admin.want(t, http.StatusNoContent, "DELETE", "/quotas/"+project+"/Cluster", nil, nil)
}

// Each microversion has what it had in Magnum, and nothing later.
func TestMicroversions(t *testing.T) {
	t.Parallel()
	all := shared(t)
	user := all.as(t, "demo")
	template := user.template(t, "versions", "v1.34.2", nil)
	uuid := user.start(t, "versions", template, nil)
	at := "/clusters/" + uuid
	user.reaches(t, uuid, "CREATE_COMPLETE")
	allowed := func(yes bool, version string, a answer) {
		t.Helper()
		if yes == (a.status == http.StatusNotAcceptable) {
			t.Errorf("%q: %d %s", version, a.status, a.body)
		}
	}
	for n := 0; n <= 14; n++ {
		version, v := fmt.Sprintf("1.%d", n), n
		if n == 0 {
			version, v = "", 1 // no header means 1.1
		}
		c, err := clusters.Get(t.Context(), user.at(version), uuid).Extract()
		if err != nil || c.Name != "versions" || (c.StackID != "") != (v < 13) {
			t.Errorf("%q: %+v, %v", version, c, err)
		}
		a := user.ask(t, version, "GET", at, nil)
		if want := fmt.Sprintf("container-infrastructure-management 1.%d", v); a.header.Get("OpenStack-API-Version") != want {
			t.Errorf("%q: answered as %q, want %q", version, a.header.Get("OpenStack-API-Version"), want)
		}
		if a.header.Get("x-openstack-request-id") == "" {
			t.Errorf("%q: no request id", version)
		}
		allowed(v >= 9, version, user.ask(t, version, "GET", at+"/nodegroups", nil))
		// A size that is never right, so that nothing happens.
		allowed(v >= 7, version, user.ask(t, version, "POST", at+"/actions/resize", object{"node_count": -1}))
		allowed(v >= 7, version, user.ask(t, version, "POST", at+"/actions/upgrade", object{"cluster_template": "nonsense"}))
		want := http.StatusNotFound
		if v < 10 {
			want = http.StatusBadRequest
		}
		if a := user.ask(t, version, "POST", "/clusters", object{"cluster_template_id": "nonsense"}); a.status != want {
			t.Errorf("%q: a cluster of an unknown template: %d, want %d", version, a.status, want)
		}
		if v < 10 {
			if a := user.ask(t, version, "POST", "/clusters", object{"cluster_template_id": template, "node_count": 0}); a.status != http.StatusBadRequest {
				t.Errorf("%q: a cluster without workers: %d, want 400", version, a.status)
			}
		}
	}
	for _, version := range []string{"1.0", "1.15", "2.1", "nonsense"} {
		if a := user.ask(t, version, "GET", "/clusters", nil); a.status != http.StatusNotAcceptable {
			t.Errorf("%q: %d, want 406", version, a.status)
		}
	}
	user.want(t, http.StatusAccepted, "POST", at+"/actions/resize", object{"node_count": 0}, nil)
	if c := user.reaches(t, uuid, "UPDATE_COMPLETE"); c.NodeCount != 0 {
		t.Errorf("node_count is %d, want 0", c.NodeCount)
	}
}
