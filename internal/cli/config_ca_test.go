package cli

import (
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// Files of authorities that are none are found when the server starts, both at once and by name: nodes would find out one by one.
func TestAuthoritiesAreRead(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	good := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}))
	for name, is := range map[string]struct{ reason, text, want string }{
		"two certificates":    {"a chain", good + good, ""},
		"no PEM":              {"a DER file", string(srv.Certificate().Raw), "is no file of certificates in PEM (0 of them can be read)"},
		"empty":               {"nothing to trust", "", "is no file of certificates in PEM"},
		"a second one broken": {"clusters of one half of the cloud would not come", good + strings.Replace(good, "MII", "M!I", 1), "1 of them can be read"},
		"a key in it":         {"it would go to every node", good + key, "has a PRIVATE KEY in it, and must have certificates only"},
		"bytes that are none": {"PEM around nothing", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "certificate 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, client := filepath.Join(t.TempDir(), "nodes.pem"), filepath.Join(t.TempDir(), "client.pem")
			put(t, nodes, is.text)
			put(t, client, is.text)
			_, err := configOf(t, "[drivers]\nopenstack_ca_file = "+nodes+"\n[capi_client]\nca_file = "+client+"\n")
			if is.want == "" && err != nil || is.want != "" && err == nil {
				t.Fatalf("%v: %s", err, is.reason)
			}
			if is.want == "" {
				return
			}
			for _, want := range []string{is.want, "[drivers] openstack_ca_file: " + nodes, "[capi_client] ca_file: " + client} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in %v: %s", want, err, is.reason)
				}
			}
		})
	}
}
