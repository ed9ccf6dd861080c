package contract_test

import (
	"os"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"go.yaml.in/yaml/v3"

	client "github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/test/contract"
)

type entry struct {
	Region string `yaml:"region_name"`
	Auth   struct {
		URL      string `yaml:"auth_url"`
		Username string `yaml:"username"`
		Password string `yaml:"password"`
		Project  string `yaml:"project_name"`
	} `yaml:"auth"`
}

// TestCloud runs the contract against the cloud of clouds.yaml.
func TestCloud(t *testing.T) {
	file := os.Getenv("OS_CLIENT_CONFIG_FILE")
	if file == "" || os.Getenv("CLOUD") == "" {
		t.Skip("no cloud: go run ./test/cloud exec -- go test -count=1 -v ./test/contract")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var clouds struct {
		Clouds map[string]entry `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &clouds); err != nil {
		t.Fatal(err)
	}
	magnum := clouds.Clouds["magnum"]
	contract.Run(t, contract.Cloud{
		Service: client.Settings{
			AuthURL: magnum.Auth.URL, Username: magnum.Auth.Username, Password: magnum.Auth.Password, ProjectName: magnum.Auth.Project, Region: magnum.Region,
		},
		Login: func(t *testing.T, user string) string {
			t.Helper()
			u := clouds.Clouds[user]
			provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{
				IdentityEndpoint: u.Auth.URL, Username: u.Auth.Username, Password: u.Auth.Password, DomainID: "default",
				Scope: &gophercloud.AuthScope{ProjectName: u.Auth.Project, DomainID: "default"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return provider.Token()
		},
	})
}
