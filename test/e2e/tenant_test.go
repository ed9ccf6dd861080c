package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

const latest = "latest"

// tenant is a user of the cloud, logged in, and speaks plain HTTP.
type tenant struct {
	all      *allinone
	name     string
	provider *gophercloud.ProviderClient
	magnum   *gophercloud.ServiceClient // found in the catalog
}

// as logs a user of the simulated cloud in. The project is that of clouds.yaml.
func (a *allinone) as(t *testing.T, user string) *tenant {
	t.Helper()
	project := user
	if user == "reader" || user == "colleague" {
		project = "demo"
	}
	provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{
		IdentityEndpoint: a.keystone("/v3"), Username: user, Password: user, DomainName: "Default", AllowReauth: true,
		Scope: &gophercloud.AuthScope{ProjectName: project, DomainName: "Default"},
	})
	if err != nil {
		t.Fatalf("log in as %s: %v", user, err)
	}
	magnum, err := openstack.NewContainerInfraV1(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		t.Fatalf("find container-infra in the catalog: %v", err)
	}
	return &tenant{all: a, name: user, provider: provider, magnum: magnum}
}

func (a *allinone) keystone(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", a.ports.keystone, path)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// detail is the text of a Magnum error body, which must be whole.
func (a answer) detail(t *testing.T) string {
	t.Helper()
	var body struct {
		Errors []struct {
			RequestID           *string `json:"request_id"`
			Code, Title, Detail string
			Status              int
			Links               []any
		}
	}
	if err := json.Unmarshal(a.body, &body); err != nil || len(body.Errors) != 1 {
		t.Fatalf("%d with a body that is no Magnum error: %s", a.status, a.body)
	}
	e := body.Errors[0]
	if e.Status != a.status || e.Code != "client" || e.RequestID == nil || e.Links == nil || !strings.HasPrefix(e.Detail, e.Title) {
		t.Errorf("error body does not fit a %d: %s", a.status, a.body)
	}
	return e.Detail
}

// do sends a request to Magnum; in is marshalled unless it is nil.
func (u *tenant) do(ctx context.Context, version, method, path string, in any) (answer, error) {
	url := strings.TrimRight(u.magnum.Endpoint, "/") + path
	return u.send(ctx, method, url, map[string]string{"OpenStack-API-Version": "container-infra " + version}, in)
}

func (u *tenant) send(ctx context.Context, method, url string, headers map[string]string, in any) (answer, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, soonBound)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("X-Auth-Token", u.provider.Token())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	for k, v := range headers {
		if !strings.HasSuffix(v, " ") { // no version
			req.Header.Set(k, v)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		select {
		case <-u.all.ended:
			return answer{}, giveUp("the all-in-one has ended: " + err.Error())
		default:
			return answer{}, err
		}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// ask sends a request that must get an answer, whatever that is.
func (u *tenant) ask(t *testing.T, version, method, path string, in any) answer {
	t.Helper()
	a, err := u.do(t.Context(), version, method, path, in)
	if err != nil {
		t.Fatalf("%s %s as %s: %v", method, path, u.name, err)
	}
	return a
}

// want sends a request whose answer must have a status, and reads the answer into out unless that is nil.
func (u *tenant) want(t *testing.T, status int, method, path string, in, out any) {
	t.Helper()
	a := u.ask(t, latest, method, path, in)
	if a.status != status {
		t.Fatalf("%s %s as %s: %d, want %d: %s", method, path, u.name, a.status, status, a.body)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			t.Fatalf("%s %s as %s: %v: %s", method, path, u.name, err, a.body)
		}
	}
}

// cluster and nodeGroup are what the API shows, as far as the tests look.
type cluster struct {
	UUID, Name, Status string
	StatusReason       string            `json:"status_reason"`
	HealthStatus       string            `json:"health_status"`
	HealthStatusReason map[string]string `json:"health_status_reason"`
	NodeCount          int               `json:"node_count"`
	MasterCount        int               `json:"master_count"`
	ProjectID          string            `json:"project_id"`
	StackID            string            `json:"stack_id"`
	ClusterID          string            `json:"cluster_id"`
	ClusterTemplateID  string            `json:"cluster_template_id"`
	COEVersion         string            `json:"coe_version"`
	APIAddress         string            `json:"api_address"`
	Labels, Faults     map[string]string `json:",omitempty"`
}

type nodeGroup struct {
	UUID, Name, Role, Status string
	StatusReason             string `json:"status_reason"`
	NodeCount                int    `json:"node_count"`
	Version                  string
}

type object = map[string]any

// get reads a cluster; ok is false when it is gone.
func (u *tenant) get(ctx context.Context, ident string) (c cluster, ok bool, err error) {
	a, err := u.do(ctx, latest, http.MethodGet, "/clusters/"+ident, nil)
	switch {
	case err != nil:
		return c, false, err
	case a.status == http.StatusNotFound:
		return c, false, nil
	case a.status != http.StatusOK:
		return c, false, fmt.Errorf("get cluster %s: %d %s", ident, a.status, a.body)
	}
	return c, true, json.Unmarshal(a.body, &c)
}

func (u *tenant) show(t *testing.T, ident string) cluster {
	t.Helper()
	c, ok, err := u.get(t.Context(), ident)
	if err != nil || !ok {
		t.Fatalf("cluster %s as %s: there: %v, error: %v", ident, u.name, ok, err)
	}
	return c
}

func (u *tenant) groups(t *testing.T, ident string) map[string]nodeGroup {
	t.Helper()
	var list struct{ NodeGroups []nodeGroup }
	u.want(t, http.StatusOK, http.MethodGet, "/clusters/"+ident+"/nodegroups", nil, &list)
	out := map[string]nodeGroup{}
	for _, g := range list.NodeGroups {
		out[g.Name] = g
	}
	return out
}

// template makes a cluster template of a version of Kubernetes; more overrides its attributes.
func (u *tenant) template(t *testing.T, name, version string, more object) string {
	t.Helper()
	body := object{
		"name": name, "coe": "kubernetes", "image_id": "ubuntu-2204-kube-" + version, "external_network_id": "public",
		"flavor_id": "m1.small", "master_flavor_id": "m1.small", "network_driver": "calico", "master_lb_enabled": true,
		"labels": object{"kube_tag": version},
	}
	for k, v := range more {
		body[k] = v
	}
	var made struct{ UUID string }
	u.want(t, http.StatusCreated, http.MethodPost, "/clustertemplates", body, &made)
	return made.UUID
}

// start asks for a cluster and does not wait for it; after the test it is deleted.
func (u *tenant) start(t *testing.T, name, template string, more object) string {
	t.Helper()
	body := object{"name": name, "cluster_template_id": template}
	for k, v := range more {
		body[k] = v
	}
	var made struct{ UUID string }
	u.want(t, http.StatusAccepted, http.MethodPost, "/clusters", body, &made)
	u.deleteAfter(t, made.UUID)
	return made.UUID
}

// deleteAfter deletes a cluster when the test ends, unless the test did.
func (u *tenant) deleteAfter(t *testing.T, ident string) {
	t.Helper()
	t.Cleanup(func() {
		select {
		case <-u.all.ended:
			return
		default:
		}
		a, err := u.do(context.Background(), latest, http.MethodDelete, "/clusters/"+ident, nil)
		if err != nil || a.status != http.StatusNoContent && a.status != http.StatusNotFound {
			t.Logf("delete cluster %s after the test: %d %s %v", ident, a.status, a.body, err)
		}
	})
}

// make makes a cluster of version v1.34.2 and waits until it is complete.
func (u *tenant) make(t *testing.T, name string, more object) cluster {
	t.Helper()
	uuid := u.start(t, name, u.template(t, name, "v1.34.2", nil), more)
	return u.reaches(t, uuid, "CREATE_COMPLETE")
}

// reaches waits until a cluster has a state, and fails at once when it comes to rest in another one.
func (u *tenant) reaches(t *testing.T, ident, state string) cluster {
	t.Helper()
	return u.reachesFrom(t, ident, state, "")
}

// reachesFrom is reaches for a cluster that has failed before.
func (u *tenant) reachesFrom(t *testing.T, ident, state, before string) cluster {
	t.Helper()
	var c cluster
	await(t, "cluster "+ident+" is "+state, clusterBound, func(ctx context.Context) (bool, string, error) {
		now, ok, err := u.get(ctx, ident)
		if err != nil {
			return false, "", err
		}
		c = now
		if !ok {
			return false, "", giveUp("it is gone")
		}
		seen := fmt.Sprintf("%s %s %v", c.Status, c.StatusReason, c.Faults)
		if strings.HasSuffix(c.Status, "_FAILED") && c.Status != state && c.Status != before {
			return false, "", giveUp(seen)
		}
		return c.Status == state, seen, nil
	})
	return c
}

// gone waits until a cluster is no more.
func (u *tenant) gone(t *testing.T, ident string) {
	t.Helper()
	await(t, "cluster "+ident+" is gone", clusterBound, func(ctx context.Context) (bool, string, error) {
		c, ok, err := u.get(ctx, ident)
		if ok && c.Status != "DELETE_IN_PROGRESS" {
			return false, "", giveUp(c.Status + " " + c.StatusReason)
		}
		return !ok && err == nil, c.Status + " " + c.StatusReason, err
	})
}

// hopelessError is what a condition returns when waiting makes no sense any more.
type hopelessError string

func (e hopelessError) Error() string { return string(e) }

func giveUp(why string) error { return hopelessError(why) }

// await asks again and again. Its condition says what it saw, for the message when it never holds.
func await(t *testing.T, what string, bound time.Duration, holds func(context.Context) (bool, string, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	began, last := time.Now(), ""
	for {
		ok, seen, err := holds(ctx)
		var stop hopelessError
		switch {
		case errors.As(err, &stop):
			t.Fatalf("%s: will not come true: %s", what, stop)
		case err != nil && ctx.Err() == nil:
			last = err.Error()
		case err == nil && ok:
			t.Logf("%s after %.1fs", what, time.Since(began).Seconds())
			return
		case err == nil:
			last = seen
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s; last state: %s", what, bound, last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
