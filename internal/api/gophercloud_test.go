package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/certificates"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/nodegroups"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/quotas"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// client is what Terraform and the cluster autoscaler are made with.
func (s *service) client(t *testing.T, token, microversion string) *gophercloud.ServiceClient {
	t.Helper()
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	provider := &gophercloud.ProviderClient{TokenID: token, HTTPClient: *server.Client()}
	return &gophercloud.ServiceClient{
		ProviderClient: provider, Endpoint: server.URL + "/", ResourceBase: server.URL + "/v1/",
		Type: "container-infra", Microversion: microversion,
	}
}

func check(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

func ptr[T any](v T) *T { return &v }

// TestGophercloud goes through a cluster's life with the client that Go programs use.
func TestGophercloud(t *testing.T) {
	s, ctx := newService(t), t.Context()
	c := s.client(t, "member", "1.10")

	template, err := clustertemplates.Create(ctx, c, clustertemplates.CreateOpts{
		Name: "k8s", COE: "kubernetes", ImageID: "ubuntu", FlavorID: "small", MasterFlavorID: "small", ExternalNetworkID: "public",
		MasterLBEnabled: ptr(true), DNSNameServer: "8.8.8.8", Labels: map[string]string{"kube_tag": "v1.34.1"},
	}).Extract()
	check(t, "create template", err)
	if template.COE != "kubernetes" || template.ClusterDistro != "ubuntu" || !template.FloatingIPEnabled || template.CreatedAt.IsZero() {
		t.Errorf("template is %+v", template)
	}
	template, err = clustertemplates.Update(ctx, c, template.UUID, []clustertemplates.UpdateOptsBuilder{
		clustertemplates.UpdateOpts{Op: clustertemplates.ReplaceOp, Path: "/name", Value: "better"},
		clustertemplates.UpdateOpts{Op: clustertemplates.ReplaceOp, Path: "/labels", Value: "{'kube_tag': 'v1.34.2'}"},
	}).Extract()
	check(t, "update template", err)
	if diff := cmp.Diff(map[string]string{"kube_tag": "v1.34.2"}, template.Labels); diff != "" || template.Name != "better" {
		t.Errorf("template is %s %s", template.Name, diff)
	}

	created := clusters.Create(ctx, c, clusters.CreateOpts{
		Name: "k", ClusterTemplateID: "better", MasterCount: ptr(3), NodeCount: ptr(2), CreateTimeout: ptr(30), Keypair: "key",
	})
	id, err := created.Extract()
	check(t, "create cluster", err)
	if created.Header.Get("X-Openstack-Request-Id") == "" {
		t.Error("gophercloud's acceptance tests ask for the request id")
	}
	cluster, err := clusters.Get(ctx, c, "k").Extract()
	check(t, "get cluster", err)
	if cluster.UUID != id || cluster.Status != "CREATE_IN_PROGRESS" || cluster.MasterCount != 3 || cluster.NodeCount != 2 || cluster.StackID != "kube-abcde" {
		t.Errorf("cluster is %+v", cluster)
	}
	s.comeUp(t, id)
	gophercloudChanges(ctx, t, s, c, id)
	gophercloudGroups(ctx, t, c, id)

	pem, err := certificates.Create(ctx, c, certificates.CreateOpts{ClusterUUID: id, CSR: makeCSR()}).Extract()
	check(t, "sign", err)
	_, err = certificates.Create(ctx, c, certificates.CreateOpts{BayUUID: id, CSR: makeCSR()}).Extract()
	check(t, "sign for a bay", err)
	ca, err := certificates.Get(ctx, c, id).Extract()
	check(t, "get CA", err)
	if pem.PEM == "" || ca.PEM == "" || ca.ClusterUUID != id {
		t.Errorf("certificates are %+v and %+v", pem, ca)
	}
	if err := certificates.Update(ctx, c, id).ExtractErr(); !gophercloud.ResponseCodeIs(err, http.StatusBadRequest) {
		t.Errorf("rotation is refused, got %v", err)
	}

	quota, err := quotas.Create(ctx, s.client(t, "admin", ""), quotas.CreateOpts{ProjectID: "demo", Resource: "Cluster", HardLimit: 10}).Extract()
	check(t, "create quota", err)
	if quota.HardLimit != 10 || quota.ProjectID != "demo" || quota.CreatedAt.IsZero() {
		t.Errorf("quota is %+v", quota)
	}

	check(t, "delete cluster", clusters.Delete(ctx, c, id).ExtractErr())
	check(t, "delete it again, as gophercloud's acceptance tests do", clusters.Delete(ctx, c, id).ExtractErr())
	if err := clustertemplates.Delete(ctx, c, template.UUID).ExtractErr(); !gophercloud.ResponseCodeIs(err, http.StatusBadRequest) {
		t.Errorf("a template in use is not deleted, got %v", err)
	}
	if _, err := clusters.Get(ctx, s.client(t, "stranger", ""), id).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
		t.Errorf("strangers are told to log in, got %v", err)
	}
	if _, err := nodegroups.Get(ctx, s.client(t, "member", ""), id, "default-worker").Extract(); !gophercloud.ResponseCodeIs(err, http.StatusNotAcceptable) {
		t.Errorf("without a microversion there are no node groups, got %v", err)
	}
}

func gophercloudChanges(ctx context.Context, t *testing.T, s *service, c *gophercloud.ServiceClient, id string) {
	t.Helper()
	_, err := clusters.Resize(ctx, c, id, clusters.ResizeOpts{NodeCount: ptr(4)}).Extract()
	check(t, "resize", err)
	_, err = clusters.Update(ctx, c, id, []clusters.UpdateOptsBuilder{
		clusters.UpdateOpts{Op: clusters.ReplaceOp, Path: "/node_count", Value: 5},
	}).Extract()
	check(t, "update cluster", err)
	_, err = clusters.Upgrade(ctx, c, id, clusters.UpgradeOpts{ClusterTemplate: "better"}).Extract()
	check(t, "upgrade", err)
	if n := s.groups[id][1].NodeCount; n != 5 {
		t.Errorf("got %d workers", n)
	}
	for _, name := range []string{"l", "m"} {
		_, err := clusters.Create(ctx, c, clusters.CreateOpts{Name: name, ClusterTemplateID: "better"}).Extract()
		check(t, "create cluster", err)
	}
	names, pages := []string{}, 0
	err = clusters.ListDetail(c, clusters.ListOpts{Limit: 1}).EachPage(ctx, func(_ context.Context, p pagination.Page) (bool, error) {
		pages++
		list, err := clusters.ExtractClusters(p)
		for _, k := range list {
			names = append(names, k.Name)
		}
		return true, err
	})
	check(t, "list", err)
	if diff := cmp.Diff([]string{"k", "l", "m"}, names); diff != "" {
		t.Errorf("%d pages: %s", pages, diff)
	}
}

func gophercloudGroups(ctx context.Context, t *testing.T, c *gophercloud.ServiceClient, id string) {
	t.Helper()
	group, err := nodegroups.Create(ctx, c, id, nodegroups.CreateOpts{
		Name: "more", NodeCount: ptr(1), MaxNodeCount: ptr(3), Labels: map[string]string{"a": "b"}, MergeLabels: ptr(true),
	}).Extract()
	check(t, "create node group", err)
	group, err = nodegroups.Update(ctx, c, id, group.UUID, []nodegroups.UpdateOptsBuilder{
		nodegroups.UpdateOpts{Op: nodegroups.ReplaceOp, Path: "/max_node_count", Value: 4},
	}).Extract()
	check(t, "update node group", err)
	if *group.MaxNodeCount != 4 || group.LabelsAdded["a"] != "b" {
		t.Errorf("node group is %+v", group)
	}
	pages, err := nodegroups.List(c, id, nodegroups.ListOpts{Role: magnum.RoleWorker}).AllPages(ctx)
	check(t, "list node groups", err)
	list, err := nodegroups.ExtractNodeGroups(pages)
	check(t, "list node groups", err)
	if len(list) != 2 || list[1].Name != "more" {
		t.Errorf("node groups are %+v", list)
	}
	check(t, "delete node group", nodegroups.Delete(ctx, c, id, "more").ExtractErr())
}
