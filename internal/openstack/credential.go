package openstack

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// CredentialOf reads the application credential back out of a clouds.yaml that CloudsYAML, or the Magnum driver, wrote.
func CredentialOf(cloudsYAML []byte) (Credential, error) {
	var doc struct {
		Clouds map[string]struct {
			Auth struct {
				ID     string `yaml:"application_credential_id"`
				Secret string `yaml:"application_credential_secret"`
			} `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(cloudsYAML, &doc); err != nil {
		return Credential{}, errors.New("clouds.yaml of the cluster is not YAML") // the parser's text may quote the secret
	}
	cloud, ok := doc.Clouds["default"]
	if !ok || cloud.Auth.ID == "" || cloud.Auth.Secret == "" {
		return Credential{}, fmt.Errorf("clouds.yaml of the cluster has no application credential for the cloud %q", "default")
	}
	return Credential{ID: cloud.Auth.ID, Secret: cloud.Auth.Secret}, nil
}
