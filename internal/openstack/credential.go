package openstack

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// CredentialOf reads the application credential back out of a clouds.yaml that CloudsYAML, or the Magnum driver, wrote.
func CredentialOf(cloudsYAML []byte) (Credential, error) {
	c, err := CloudConfigOf(cloudsYAML)
	return c.Credential, err
}

// CloudConfigOf reads a clouds.yaml that CloudsYAML, or the Magnum driver, wrote.
func CloudConfigOf(cloudsYAML []byte) (CloudConfig, error) {
	var doc struct {
		Clouds map[string]struct {
			Auth struct {
				ID      string `yaml:"application_credential_id"`
				Secret  string `yaml:"application_credential_secret"`
				AuthURL string `yaml:"auth_url"`
			} `yaml:"auth"`
			Endpoint string `yaml:"endpoint_type"`
			Region   string `yaml:"region_name"`
			Verify   *bool  `yaml:"verify"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(cloudsYAML, &doc); err != nil {
		return CloudConfig{}, errors.New("clouds.yaml of the cluster is not YAML") // the parser's text may quote the secret
	}
	cloud, ok := doc.Clouds["default"]
	if !ok || cloud.Auth.ID == "" || cloud.Auth.Secret == "" {
		return CloudConfig{}, fmt.Errorf("clouds.yaml of the cluster has no application credential for the cloud %q", "default")
	}
	return CloudConfig{
		AuthURL: cloud.Auth.AuthURL, Region: cloud.Region, EndpointType: cloud.Endpoint, Insecure: cloud.Verify != nil && !*cloud.Verify,
		Credential: Credential{ID: cloud.Auth.ID, Secret: cloud.Auth.Secret},
	}, nil
}
