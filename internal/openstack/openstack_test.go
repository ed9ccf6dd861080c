package openstack

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

func TestNew(t *testing.T) {
	cases := map[string]struct {
		reason   string
		settings Settings
		want     []string
	}{
		"Empty": {
			reason:   "Everything that is missing is told at once.",
			settings: Settings{Endpoints: map[string]Endpoint{Compute: {Type: "publicUrl"}, Images: {KeyFile: "/key"}}},
			want:     []string{"auth_url", "username", "password", "project_name", `compute service: endpoint type "publicUrl"`, "image service: a client certificate needs"},
		},
		"NoCAFile": {
			reason:   "A CA file that is not there is told at start and not at the first request.",
			settings: Settings{AuthURL: "https://k", Username: "u", Password: "p", ProjectName: "s", CAFile: "/does/not/exist"},
			want:     []string{"/does/not/exist"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.settings)
			if err == nil {
				t.Fatal(tc.reason)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s\nwant %q in %v", tc.reason, want, err)
				}
			}
		})
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	const secret = "hush"
	k := newKeystone(t)
	values := []any{
		Settings{Password: secret},
		Credential{ID: "1", Secret: secret},
		CloudConfig{Credential: Credential{Secret: secret}},
		&Project{credential: Credential{Secret: secret}}, k.cloud(t).ForUser(secret, Identity{}),
	}
	for _, value := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, secret) {
				t.Errorf("%T prints its secret with %s: %s", value, format, text)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	code := func(status int, body string) error {
		return gophercloud.ErrUnexpectedResponseCode{Actual: status, Body: []byte(body), URL: "http://cloud/?x=hush", Method: "GET"}
	}
	cases := map[string]struct {
		reason string
		err    error
		want   string
		is     error
	}{
		"Nova":     {"Nova's fault body.", code(403, `{"forbidden": {"code": 403, "message": "Quota exceeded"}}`), "do it: forbidden: Quota exceeded", ErrForbidden},
		"Neutron":  {"Neutron's.", code(409, `{"NeutronError": {"type": "X", "message": "in use", "detail": ""}}`), "do it: conflict: in use", ErrConflict},
		"Octavia":  {"Octavia's.", code(404, `{"faultcode": "Client", "faultstring": "no such thing"}`), "do it: not found: no such thing", ErrNotFound},
		"Glance":   {"Glance's.", code(400, `{"message": "bad name", "code": "400 Bad Request", "title": "Bad Request"}`), "do it: rejected: bad name", ErrRejected},
		"HTML":     {"A proxy's page is left out.", code(502, `<html>`), "do it: unavailable (HTTP 502)", ErrUnavailable},
		"Secret":   {"A secret that comes back is masked.", code(401, `{"error": {"message": "token hush is bad"}}`), "do it: not authorized: token *** is bad", ErrUnauthorized},
		"OverRate": {"Nova's 413 means later.", code(413, ``), "do it: unavailable (HTTP 413)", ErrUnavailable},
		"Network":  {"Anything else is unavailability.", errors.New("connection refused by hush"), "do it: unavailable: connection refused by ***", ErrUnavailable},
		"Relogin": {
			"A login of ours that failed.",
			&gophercloud.ErrUnableToReauthenticate{ErrOriginal: code(401, ``), ErrReauth: code(401, `{"error": {"message": "hush"}}`)},
			"do it: log in again: unavailable (HTTP 401)", ErrUnavailable,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := explain("do it", tc.err, "hush")
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" || !errors.Is(err, tc.is) {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
	if explain("do it", nil) != nil {
		t.Error("nothing to explain")
	}
}

func TestCatalog(t *testing.T) {
	entries := catalog{
		{Type: "identity", Endpoints: []tokens.Endpoint{
			{Interface: "public", Region: "One", RegionID: "one", URL: "https://one/identity"},
			{Interface: "public", Region: "Two", URL: "https://two:5000/v2.0/"},
			{Interface: "internal", Region: "One", URL: "http://inside:5000"},
		}},
		{Type: "networking", Endpoints: []tokens.Endpoint{{Interface: "public", URL: "https://net/v2.0/"}}},
		{Type: "load-balancer", Endpoints: []tokens.Endpoint{{Interface: "public", URL: "https://lb/load-balancer"}}},
		{Type: "image", Endpoints: []tokens.Endpoint{{Interface: "public", URL: "https://image/v2/"}}},
		{Type: "compute", Endpoints: []tokens.Endpoint{{Interface: "public", URL: "https://nova/v2.1/abc"}}},
	}
	cases := map[string]struct {
		service, kind, region string
		want                  string
	}{
		"FirstRegion":    {"identity", "", "", "https://one/identity/v3/"},
		"ByRegion":       {"identity", "publicURL", "Two", "https://two:5000/v3/"},
		"ByRegionID":     {"identity", "public", "one", "https://one/identity/v3/"},
		"Internal":       {"identity", "internalURL", "One", "http://inside:5000/v3/"},
		"OfficialType":   {"network", "", "", "https://net/v2.0/"},
		"WithoutVersion": {"load-balancer", "", "", "https://lb/load-balancer/v2.0/"},
		"WithVersion":    {"image", "", "", "https://image/v2/"},
		"AsItIs":         {"compute", "", "", "https://nova/v2.1/abc/"},
		"NoSuchRegion":   {"identity", "", "Three", ""},
		"NoSuchSide":     {"compute", "adminURL", "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			client, err := entries.client(nil, tc.service, tc.kind, tc.region)
			if tc.want == "" {
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("want ErrNotFound, got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, client.ResourceBaseURL()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUserCatalogIsFetchedOnce(t *testing.T) {
	k := newKeystone(t)
	cloud := k.cloud(t)
	identity, err := cloud.Validator().Validate(t.Context(), goodToken)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			got, err := cloud.ForUser(goodToken, identity).IdentityEndpoint(t.Context(), "publicURL", "R1")
			if err != nil || got != k.URL+"/v3" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if got := k.count(&k.catalogs); got != 1 {
		t.Errorf("want the catalog fetched once, got %d", got)
	}
	if got, _ := cloud.ForUser(goodToken, identity).IdentityEndpoint(t.Context(), "internal", "R1"); got != "http://internal:5000/v3" {
		t.Errorf("got %q", got)
	}
	_, err = cloud.ForUser(badToken, identity).Image(t.Context(), "x")
	if !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a token that Keystone refuses: %v", err)
	}
	noSecrets(t, err)
}

func TestCloudsYAML(t *testing.T) {
	cases := map[string]struct {
		reason string
		config CloudConfig
		want   string
	}{
		"Public": {
			reason: "The Magnum driver's keys, in the order its YAML library writes them.",
			config: CloudConfig{
				AuthURL: "https://cloud.example/identity/v3", Region: "RegionOne", EndpointType: "publicURL",
				Credential: Credential{ID: "abc", Secret: "s3cret: #1"},
			},
			want: `clouds:
  default:
    auth:
      application_credential_id: abc
      application_credential_secret: 's3cret: #1'
      auth_url: https://cloud.example/identity/v3
    endpoint_type: public
    identity_api_version: 3
    region_name: RegionOne
    verify: true
`,
		},
		"Internal": {
			reason: "endpoint_type loses its URL; insecure is verify turned round.",
			config: CloudConfig{AuthURL: "http://k", EndpointType: "internal", Insecure: true, Credential: Credential{ID: "1", Secret: "2"}},
			want: `clouds:
  default:
    auth:
      application_credential_id: "1"
      application_credential_secret: "2"
      auth_url: http://k
    endpoint_type: internal
    identity_api_version: 3
    region_name: ""
    verify: false
`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tc.config.CloudsYAML()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			back, err := CredentialOf(got)
			if err != nil || back != tc.config.Credential {
				t.Errorf("the credential does not come back: %v", err)
			}
		})
	}
}

func TestPick(t *testing.T) {
	type thing struct{ id, name string }
	list := []thing{{"1", "a"}, {"2", "b"}, {"3", "b"}, {"b2", "1"}}
	cases := map[string]struct {
		reason, ask, want string
		err               error
	}{
		"ByName":    {"One has the name.", "a", "1", nil},
		"ByID":      {"An id is stronger than a name that looks like it.", "1", "1", nil},
		"Ambiguous": {"Two have the name.", "b", "", ErrAmbiguous},
		"None":      {"None has it.", "c", "", ErrNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := pick(list, tc.ask, func(x thing) (id, name string) { return x.id, x.name })
			if got.id != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%s\ngot %v, %v", tc.reason, got, err)
			}
		})
	}
}
