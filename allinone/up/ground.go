package up

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/allinone/realcloud"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
)

// ground is what the service stands on: all that differs between the simulated cloud and a real one.
type ground struct {
	name           string                    // what the data directory belongs to
	before, after  []lifecycle.Step          // of the management cluster; of Jeroboam
	management     func(*management.Options) // what it changes there
	infrastructure capi.Infrastructure
	user           realcloud.ServiceUser
	clouds, tenant string        // clouds.yaml, and who in it makes the first cluster
	writeClouds    func() error  // where it is ours to write
	patience       time.Duration // for the first cluster
	// complete fills in what the flags of the first cluster leave open.
	complete func(ctx context.Context, f *firstFlags, e *realcloud.Entry, p *gophercloud.ProviderClient) error
	remark   string // what people are told beside
}

// findGround looks which cloud it is to be.
func (a *allinone) findGround() (ground, error) {
	if a.Real.Cloud == "" {
		return a.simulated()
	}
	return a.real()
}

// dataName is the name of the data directory: one for each kind of ground, for the clusters of one mean nothing on the
// other.
func (c *Command) dataName() string {
	if c.Real.Cloud == "" {
		return "data"
	}
	return "cloud"
}

// check refuses flags that would do nothing, all at once.
func (c *Command) check() error {
	var problems []error
	refuse := func(bad bool, text string) {
		if bad {
			problems = append(problems, errors.New(text))
		}
	}
	r := c.Real
	if r.Cloud == "" {
		refuse(r.RegisterEndpoint, "--register-endpoint is for a real cloud, with --cloud: the simulated one has the endpoint in its catalog")
		refuse(r.AdminCloudName != "", "--admin-cloud-name is for a real cloud, with --cloud")
		return errors.Join(problems...)
	}
	refuse(c.KeystonePort != 0, "--keystone-port is for the simulated cloud: where a real one's Keystone is stands in its clouds.yaml")
	refuse(c.InfrastructureDelay != 0, "--infrastructure-delay is for simulated machines: a real cloud takes the time it takes")
	refuse(r.AdminCloudName != "" && !r.RegisterEndpoint, "--admin-cloud-name is for --register-endpoint")
	refuse(r.RegisterEndpoint && c.Address.IsUnspecified(),
		"--register-endpoint needs an --address that clients reach: "+c.Address.String()+" is every address of this host")
	return errors.Join(problems...)
}

const groundFile = "cloud"

// claim remembers in a data directory what its clusters stand on, and refuses another ground.
func claim(dir *datadir.Dir, name string) error {
	file := dir.Path(groundFile)
	was, err := os.ReadFile(file)
	switch {
	case err == nil && strings.TrimSpace(string(was)) == name:
		return nil
	case err == nil:
		return fmt.Errorf("the data directory %s belongs to %s, and its clusters mean nothing to %s: choose another with --data-dir, or start over with --fresh",
			filepath.Dir(file), strings.TrimSpace(string(was)), name)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("look what the data directory belongs to: %w", err)
	}
	// Data directories were all the simulated cloud's before there was another.
	if _, err := os.Stat(dir.Path("etcd")); err == nil && name != simulatedName {
		return fmt.Errorf("the data directory %s belongs to %s, and its clusters mean nothing to %s: choose another with --data-dir, or start over with --fresh",
			filepath.Dir(file), simulatedName, name)
	}
	return datadir.WriteFile(file, []byte(name+"\n"), 0o600)
}

// magnumConf is the configuration an operator would write for this cloud.
func magnumConf(address net.IP, port int, u realcloud.ServiceUser) []byte {
	var b strings.Builder
	section := func(name string, options ...[2]string) {
		fmt.Fprintf(&b, "\n[%s]\n", name)
		for _, o := range options {
			if o[1] != "" {
				// oslo.config: quotes around a value keep its blanks, and a dollar sign is written twice.
				fmt.Fprintf(&b, "%s = \"%s\"\n", o[0], strings.ReplaceAll(o[1], "$", "$$"))
			}
		}
	}
	b.WriteString("# Written by every start of the all-in-one.\n")
	insecure := ""
	if u.Insecure {
		insecure = "true"
	}
	section("api", [2]string{"host", address.String()}, [2]string{"port", fmt.Sprint(port)})
	section("keystone_authtoken",
		[2]string{"auth_url", u.AuthURL}, [2]string{"www_authenticate_uri", u.AuthURL},
		[2]string{"username", u.Username}, [2]string{"password", u.Password}, [2]string{"project_name", u.ProjectName},
		[2]string{"user_domain_id", u.UserDomainID}, [2]string{"user_domain_name", u.UserDomainName},
		[2]string{"project_domain_id", u.ProjectDomainID}, [2]string{"project_domain_name", u.ProjectDomainName},
		[2]string{"region_name", u.Region}, [2]string{"cafile", u.CAFile}, [2]string{"insecure", insecure})
	section("capi_client", [2]string{"endpoint_type", u.Interface + "URL"}, [2]string{"ca_file", u.CAFile}, [2]string{"insecure", insecure})
	for _, service := range []string{"nova", "glance", "neutron", "octavia", "cinder"} { // as the entry's own clients do
		section(service+"_client", [2]string{"endpoint_type", u.Interface + "URL"})
	}
	section("quotas", [2]string{"max_clusters_per_project", "100"})
	return []byte(b.String())
}
