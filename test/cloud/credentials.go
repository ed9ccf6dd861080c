package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"go.yaml.in/yaml/v3"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// makeCredentials writes clouds.yaml and gives every person a key pair.
func (c *Cloud) makeCredentials(ctx context.Context) error {
	text, err := cloudsYAML()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path("clouds.yaml"), text, 0o600); err != nil {
		return err
	}
	// For the client in the container: "cloud inside -- openstack --os-cloud demo server list".
	inside := c.visible("etc", "openstack")
	if err := errors.Join(os.MkdirAll(inside, 0o755), os.WriteFile(filepath.Join(inside, "clouds.yaml"), text, 0o600)); err != nil {
		return err
	}
	key := c.path("ssh", "id_ed25519")
	if err := machine.Command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "jeroboam-cloud", "-f", key); err != nil {
		return err
	}
	return c.self(ctx, "keypairs", key+".pub")
}

func cloudsYAML() ([]byte, error) {
	type auth struct {
		URL           string `yaml:"auth_url"`
		Username      string `yaml:"username"`
		Password      string `yaml:"password"`
		Project       string `yaml:"project_name"`
		UserDomain    string `yaml:"user_domain_name"`
		ProjectDomain string `yaml:"project_domain_name"`
	}
	type entry struct {
		Region string `yaml:"region_name"`
		Auth   auth   `yaml:"auth"`
	}
	clouds := map[string]entry{}
	for _, u := range people() {
		clouds[u.name] = entry{region, auth{keystoneURL, u.name, u.password(), u.project, "Default", "Default"}}
	}
	return yaml.Marshal(map[string]any{"clouds": clouds})
}

// keyPair is the name of everybody's key pair.
const keyPair = "default"

func fillKeyPairs(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("keypairs -- which file with the public key?")
	}
	public, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	for _, u := range people() {
		session, err := login(ctx, u)
		if err != nil {
			return fmt.Errorf("user %s: %w", u.name, err)
		}
		compute, err := openstack.NewComputeV2(session, gophercloud.EndpointOpts{Region: region})
		if err != nil {
			return err
		}
		if _, err := keypairs.Create(ctx, compute, keypairs.CreateOpts{Name: keyPair, PublicKey: strings.TrimSpace(string(public))}).Extract(); err != nil {
			return fmt.Errorf("key pair of %s: %w", u.name, err)
		}
	}
	return nil
}
