package cli

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// A credential that Keystone does not take opens nothing. A nil project in an interface is not nil, and whoever asks
// first whether there is a cloud would then ask it.
func TestADeadCredentialOpensNothing(t *testing.T) {
	keystone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}`))
	}))
	t.Cleanup(keystone.Close)
	cloud, err := openstack.New(openstack.Settings{AuthURL: keystone.URL, Username: "magnum", Password: "p", ProjectName: "service"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	s := &serving{cloud: cloud}
	yaml := []byte("clouds: {default: {auth: {auth_url: '" + keystone.URL + "', application_credential_id: id, application_credential_secret: s}}}")
	if c, err := s.cloudFor(t.Context(), yaml); c != nil || !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("for clusters: a %T, nil %t, and %v", c, c == nil, err)
	}
	if c, err := s.addonCloudFor(t.Context(), yaml); c != nil || !errors.Is(err, openstack.ErrUnauthorized) {
		t.Errorf("for addons: a %T, nil %t, and %v", c, c == nil, err)
	}
	if c, err := s.cloudFor(t.Context(), []byte("{")); c != nil || err == nil {
		t.Errorf("of a file that is none: %v, %v", c, err)
	}
}
