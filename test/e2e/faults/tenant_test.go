package faults

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
)

// browser makes a connection for each request: one that a killed process left behind would be a failure of the test's
// own.
var browser = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soonBound}

type object = map[string]any

// tenant is a user of the cloud with a token, who speaks plain HTTP to Magnum and to the other services.
type tenant struct {
	name, token     string
	user, project   string // IDs
	magnum, cloudAt string
}

// as logs a user in.
func (s *site) as(t *testing.T, user string) *tenant {
	t.Helper()
	u := &tenant{name: user, magnum: "http://" + local(s.ports.magnum), cloudAt: "http://" + local(s.ports.keystone)}
	u.login(t)
	return u
}

// login gets a new token.
func (u *tenant) login(t *testing.T) {
	t.Helper()
	byName := object{"name": u.name, "password": u.name, "domain": object{"name": "Default"}}
	scope := object{"project": object{"name": u.name, "domain": object{"name": "Default"}}}
	a, err := u.send(t.Context(), "POST", u.cloudAt+"/v3/auth/tokens", object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": byName}}, "scope": scope,
	}})
	var body struct {
		Token struct{ User, Project struct{ ID string } }
	}
	if err != nil || a.status != http.StatusCreated || json.Unmarshal(a.body, &body) != nil {
		t.Fatalf("log in as %s: %d %s %v", u.name, a.status, a.body, err)
	}
	u.token, u.user, u.project = a.header.Get("X-Subject-Token"), body.Token.User.ID, body.Token.Project.ID
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request; in is marshalled unless it is nil, a string or a reader.
func (u *tenant) send(ctx context.Context, method, url string, in any) (answer, error) {
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case string:
		body = strings.NewReader(v)
	case io.Reader:
		body = v
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Openstack-Api-Version", "container-infra latest")
	if u.token != "" {
		req.Header.Set("X-Auth-Token", u.token)
	}
	resp, err := browser.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	return answer{resp.StatusCode, resp.Header, b}, err
}

// do asks Magnum.
func (u *tenant) do(ctx context.Context, method, path string, in any) (answer, error) {
	return u.send(ctx, method, u.magnum+"/v1"+path, in)
}

// want sends a request to Magnum whose answer must have a status, and reads the answer into out unless that is nil.
func (u *tenant) want(t *testing.T, status int, method, path string, in, out any) answer {
	t.Helper()
	a, err := u.do(t.Context(), method, path, in)
	return fits(t, method+" "+path, a, err, status, out)
}

// cloud asks the simulated OpenStack itself.
func (u *tenant) cloud(t *testing.T, status int, method, path string, in, out any) {
	t.Helper()
	a, err := u.send(t.Context(), method, u.cloudAt+path, in)
	fits(t, method+" "+path, a, err, status, out)
}

func fits(t *testing.T, what string, a answer, err error, status int, out any) answer {
	t.Helper()
	if err != nil || a.status != status {
		t.Fatalf("%s: %d, want %d: %.2000s %v", what, a.status, status, a.body, err)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			t.Fatalf("%s: %v: %.2000s", what, err, a.body)
		}
	}
	return a
}

// magnumError is the text of an error body, which must be whole.
func (a answer) magnumError() (string, error) {
	var body struct {
		Errors []struct {
			RequestID           *string `json:"request_id"`
			Code, Title, Detail string
			Status              int
			Links               []any
		}
	}
	if err := json.Unmarshal(a.body, &body); err != nil || len(body.Errors) != 1 {
		return "", fmt.Errorf("%d with a body that is no Magnum error: %.500s", a.status, a.body)
	}
	e := body.Errors[0]
	if e.Status != a.status || e.RequestID == nil || e.Links == nil || e.Detail == "" || e.Title == "" {
		return "", fmt.Errorf("the error body does not fit a %d: %.500s", a.status, a.body)
	}
	return e.Detail, nil
}

// faults replaces the rules of what goes wrong in the simulated cloud. It takes the admin.
func (u *tenant) faults(t *testing.T, requests ...object) {
	t.Helper()
	if requests == nil {
		requests = []object{}
	}
	u.cloud(t, http.StatusOK, "PUT", "/_simcloud/faults", object{"requests": requests}, nil)
}

// cluster is what the API shows, as far as the tests look.
type cluster struct {
	UUID, Name, Status string
	StatusReason       string `json:"status_reason"`
	HealthStatus       string `json:"health_status"`
	NodeCount          int    `json:"node_count"`
	MasterCount        int    `json:"master_count"`
	Stack              string `json:"cluster_id"`
	COEVersion         string `json:"coe_version"`
	Faults             map[string]string
	Labels             map[string]string
}

// get reads a cluster; ok is false when it is gone.
func (u *tenant) get(ctx context.Context, ident string) (c cluster, ok bool, err error) {
	a, err := u.do(ctx, http.MethodGet, "/clusters/"+ident, nil)
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

func (u *tenant) list(t *testing.T) []cluster {
	t.Helper()
	var list struct{ Clusters []cluster }
	u.want(t, http.StatusOK, "GET", "/clusters", nil, &list)
	return list.Clusters
}

// template makes a cluster template of a version of Kubernetes.
func (u *tenant) template(t *testing.T, version string) string {
	t.Helper()
	var made struct{ UUID string }
	u.want(t, http.StatusCreated, "POST", "/clustertemplates", templateBody("kubernetes-"+version, version), &made)
	return made.UUID
}

func templateBody(name, version string) object {
	return object{
		"name": name, "coe": "kubernetes", "image_id": "ubuntu-2204-kube-" + version, "external_network_id": "public",
		"flavor_id": "m1.small", "master_flavor_id": "m1.small", "network_driver": "calico", "master_lb_enabled": true,
		"labels": object{"kube_tag": version},
	}
}

// create asks for a cluster and does not wait for it.
func (u *tenant) create(t *testing.T, name, template string, masters, workers int) string {
	t.Helper()
	var made struct{ UUID string }
	u.want(t, http.StatusAccepted, "POST", "/clusters", clusterBody(name, template, masters, workers), &made)
	return made.UUID
}

func clusterBody(name, template string, masters, workers int) object {
	return object{"name": name, "cluster_template_id": template, "master_count": masters, "node_count": workers}
}

// reaches waits until a cluster has a state, and fails at once when it comes to rest in another one.
func (u *tenant) reaches(t *testing.T, ident, state string) cluster {
	t.Helper()
	var c cluster
	await(t, "cluster "+ident+" is "+state, clusterBound, func(ctx context.Context) (bool, string, error) {
		now, ok, err := u.get(ctx, ident)
		if err != nil {
			return false, "", err
		}
		c = now
		if !ok {
			return false, "", givenUpError("it is gone")
		}
		seen := fmt.Sprintf("%s %s %v", c.Status, c.StatusReason, c.Faults)
		if strings.HasSuffix(c.Status, "_FAILED") && c.Status != state {
			return false, "", givenUpError(seen)
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
		return !ok && err == nil, c.Status + " " + c.StatusReason, err
	})
}

// givenUpError is what a condition returns when waiting makes no sense any more.
type givenUpError string

func (g givenUpError) Error() string { return string(g) }

// await asks again and again. Its condition says what it saw, for the message when it never holds.
func await(t *testing.T, what string, bound time.Duration, holds func(context.Context) (bool, string, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	began, last := time.Now(), ""
	for {
		ok, seen, err := holds(ctx)
		var stop givenUpError
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
