package up

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
	"github.com/jeroboam-cloud/jeroboam/allinone/realcloud"
	"github.com/jeroboam-cloud/jeroboam/internal/cli"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

func TestFlagsThatWouldDoNothingAreRefused(t *testing.T) {
	local := net.IPv4(127, 0, 0, 1)
	for _, c := range []struct {
		reason  string
		command Command
		want    []string // in this order; none: accepted
	}{
		{"the default", Command{Address: local}, nil},
		{"a real cloud", Command{Address: local, Real: realFlags{Cloud: "clouds.yaml"}}, nil},
		{
			"a real cloud that is to know where the API is",
			Command{Address: net.IPv4(10, 77, 0, 1), Real: realFlags{Cloud: "clouds.yaml", RegisterEndpoint: true, AdminCloudName: "admin"}},
			nil,
		},
		{
			"the simulated cloud has a catalog of its own",
			Command{Address: local, Real: realFlags{RegisterEndpoint: true, AdminCloudName: "admin"}},
			[]string{"--register-endpoint is for a real cloud", "--admin-cloud-name is for a real cloud"},
		},
		{
			"what only simulated things have",
			Command{Address: local, KeystonePort: 5001, InfrastructureDelay: time.Second, Real: realFlags{Cloud: "clouds.yaml", AdminCloudName: "admin"}},
			[]string{"--keystone-port is for the simulated cloud", "--infrastructure-delay is for simulated machines", "--admin-cloud-name is for --register-endpoint"},
		},
		{
			"nobody can connect to every address",
			Command{Address: net.IPv4zero, Real: realFlags{Cloud: "clouds.yaml", RegisterEndpoint: true}},
			[]string{"--register-endpoint needs an --address that clients reach: 0.0.0.0 is every address"},
		},
	} {
		err := c.command.check()
		var have []string
		if err != nil {
			have = strings.Split(err.Error(), "\n")
		}
		if len(have) != len(c.want) {
			t.Errorf("%s: want %q, have %q", c.reason, c.want, have)
			continue
		}
		for i, w := range c.want {
			if !strings.HasPrefix(have[i], w) {
				t.Errorf("%s: want %q, have %q", c.reason, w, have[i])
			}
		}
	}
}

// TestMagnumConf lets the server's own reader say what arrives.
func TestMagnumConf(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, authority)
	user := realcloud.ServiceUser{
		AuthURL: "https://keystone.example.org:5000/v3", Username: "magnum", Password: ` p$a${ss} "w'o%(r)d\ #;`, ProjectName: "service",
		Region: "RegionOne", UserDomainName: "Default", ProjectDomainID: "default", Interface: "internal", CAFile: ca, Insecure: true,
	}
	conf := filepath.Join(dir, "magnum.conf")
	write(t, conf, string(magnumConf(net.ParseIP("2001:db8::1"), 9511, user)))
	c, err := cli.ReadConfig(slog.New(slog.DiscardHandler), nil, conf)
	if err != nil {
		t.Fatal(err)
	}
	want := openstack.Settings{
		AuthURL: user.AuthURL, Username: "magnum", Password: user.Password, ProjectName: "service", Region: "RegionOne",
		UserDomainName: "Default", ProjectDomainID: "default", CAFile: ca, Insecure: true,
		TokenCacheTime: 300 * time.Second, Endpoints: map[string]openstack.Endpoint{},
	}
	for _, service := range []string{openstack.Compute, openstack.Images, openstack.Networks, openstack.LoadBalancer, openstack.Volumes} {
		want.Endpoints[service] = openstack.Endpoint{Type: "internalURL"}
	}
	if diff := cmp.Diff(visible(want), visible(c.OpenStack)); diff != "" {
		t.Error(diff)
	}
	type rest struct {
		Listen, Endpoint, CA string
		Insecure             bool
		Quota                int
	}
	have := rest{c.Listen, c.ClientEndpoint, string(c.ClientCA), c.ClientInsecure, c.QuotaClusters}
	if diff := cmp.Diff(rest{"[2001:db8::1]:9511", "internalURL", authority, true, 100}, have); diff != "" {
		t.Error(diff)
	}
}

func TestDataDirectoryBelongsToOneCloud(t *testing.T) {
	const zed, other = "the cloud at http://10.77.0.10:5000/v3", "the cloud at http://192.0.2.1:5000/v3"
	for _, c := range []struct {
		reason, first, second, want string
		old                         bool // made before there was another cloud than the simulated one
	}{
		{reason: "the same cloud again", first: zed, second: zed},
		{reason: "another cloud", first: zed, second: other, want: "belongs to " + zed},
		{reason: "no cloud", first: zed, second: simulatedName, want: "choose another with --data-dir, or start over with --fresh"},
		{reason: "an old directory is the simulated cloud's", second: simulatedName, old: true},
		{reason: "and no other's", second: zed, old: true, want: "belongs to " + simulatedName},
	} {
		t.Run(c.reason, func(t *testing.T) {
			dir, err := datadir.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = dir.Close() }()
			if c.old {
				if err := os.Mkdir(dir.Path("etcd"), 0o700); err != nil {
					t.Fatal(err)
				}
			} else if err := claim(dir, c.first); err != nil {
				t.Fatal(err)
			}
			err = claim(dir, c.second)
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

// visible are settings without the method that hides the password.
func visible(s openstack.Settings) any {
	type plain openstack.Settings
	p := plain(s)
	p.Now = nil
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// authority is a certificate; nobody has its key.
const authority = `-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUcaQpyavTo7KMkM5KSlzygxsIBrswCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjcyMzUzNDBaGA8yMTI2MTEwMzIzNTM0
MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGwF
jZhNT7XS2xkYe6bpaB6TcxVTXJkCj5yatt+qIbD5W4aVyhAMfd9k4C3oPuITw0JI
gQnJvm1uNZ/vHDbmDWWjUzBRMB0GA1UdDgQWBBQfARtyq9h5h93SbM1suGh7tzhI
cTAfBgNVHSMEGDAWgBQfARtyq9h5h93SbM1suGh7tzhIcTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDuyJCOncVUQR1FoDKf7nuNup7aeL4CZS5D
a8ubXlWnqgIhAPzRqLD4ENRcI64hhAqGuMiAlsnbXWRkvOUYb5dfr2Og
-----END CERTIFICATE-----
`
