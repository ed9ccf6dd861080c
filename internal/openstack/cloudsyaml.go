package openstack

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CloudConfig is what a cluster's own components need to reach the cloud.
type CloudConfig struct {
	AuthURL      string
	Region       string
	EndpointType string // as in [capi_client] endpoint_type: publicURL
	Insecure     bool   // [capi_client] insecure
	Credential   Credential
}

// CloudsYAML is the clouds.yaml in the Secret <stack>-cloud-config, with the keys of the Magnum driver (1.2 step 4.2)
// in the same order, so that an adopted cluster's Secret does not change.
func (c CloudConfig) CloudsYAML() ([]byte, error) {
	type auth struct {
		ID      string `yaml:"application_credential_id"`
		Secret  string `yaml:"application_credential_secret"`
		AuthURL string `yaml:"auth_url"`
	}
	type cloud struct {
		Auth       auth   `yaml:"auth"`
		Endpoint   string `yaml:"endpoint_type"`
		APIVersion int    `yaml:"identity_api_version"`
		Region     string `yaml:"region_name"`
		Verify     bool   `yaml:"verify"`
	}
	endpoint := strings.TrimSuffix(c.EndpointType, "URL")
	if endpoint == "" {
		endpoint = "public"
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(map[string]map[string]cloud{"clouds": {"default": {
		Auth:     auth{ID: c.Credential.ID, Secret: c.Credential.Secret, AuthURL: c.AuthURL},
		Endpoint: endpoint, APIVersion: 3, Region: c.Region, Verify: !c.Insecure,
	}}})
	if err != nil {
		return nil, fmt.Errorf("write clouds.yaml: %w", err)
	}
	return out.Bytes(), nil
}
