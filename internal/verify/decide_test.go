package verify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func asked(change func(*Options)) Options {
	o := Options{RunID: "0badcafe", ImageName: "node", Masters: 1, Nodes: 1}
	if change != nil {
		change(&o)
	}
	return o
}

func found(change func(*Found)) Found {
	f := Found{
		Externals: []Thing{{"n1", "public"}}, Images: []Thing{{"i1", "node"}, {"i2", "twice"}, {"i3", "twice"}},
		Flavors: []Flavor{
			{Thing{"f1", "tiny"}, 1, 512, 1}, {Thing{"f3", "large"}, 8, 8192, 80}, {Thing{"f2", "medium"}, 2, 3072, 10}, {Thing{"f4", "no disk"}, 2, 3072, 0},
		},
		Templates: []Thing{{"t1", "golden"}}, Clusters: []Thing{{"c1", "theirs"}}, Keypairs: []Thing{{"mine", "mine"}},
	}
	if change != nil {
		change(&f)
	}
	return f
}

func TestDecide(t *testing.T) {
	const name = "jeroboam-verify-0badcafe"
	for _, c := range []struct {
		reason string
		o      Options
		f      Found
		want   Plan
	}{
		{
			"a member uses what is there and makes what members may make", asked(nil), found(nil),
			Plan{
				Network: Choice{Thing{"n1", "public"}, false, "the only external network"}, Image: Choice{Thing: Thing{"i1", "node"}},
				Flavor: Choice{Thing{"f2", "medium"}, false, "the smallest that fits: 2 VCPUs, 3072 MB, 10 GB"},
			},
		},
		{
			"an administrator has a flavor made, and an image is uploaded", asked(func(o *Options) { o.Image, o.ImageName = "node.raw", "" }),
			found(func(f *Found) { f.Admin = true }),
			Plan{
				Network: Choice{Thing{"n1", "public"}, false, "the only external network"}, Image: Choice{Thing{"", name}, true, "uploaded from node.raw"},
				Flavor: Choice{Thing{"", name}, true, "2 VCPUs, 4096 MB, 20 GB"},
			},
		},
		{
			"a cloud without an external network is given one",
			asked(func(o *Options) {
				o.Flavor, o.Public = "f3", PublicNetwork{Physical: "physnet1", CIDR: "172.29.248.0/22"}
			}),
			found(func(f *Found) { f.Admin, f.Externals = true, nil }),
			Plan{
				Network: Choice{Thing{"", name}, true, "external, flat, on physnet1"}, Image: Choice{Thing: Thing{"i1", "node"}},
				Flavor: Choice{Thing: Thing{"f3", "large"}},
			},
		},
	} {
		c.want.Name, c.want.Template = name, Choice{Thing{"", name}, true, ""}
		c.want.Cluster, c.want.Keypair = Choice{Thing{"", name}, true, "1 masters, 1 workers"}, Choice{Thing{"", name}, true, "its private half is thrown away"}
		got, err := Decide(c.o, c.f)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.reason, err, diff)
		}
	}
}

func TestDecideUsesWhatIsNamed(t *testing.T) {
	p, err := Decide(asked(func(o *Options) { o.ImageName, o.ClusterTemplate, o.Keypair = "", "golden", "mine" }), found(nil))
	if err != nil || p.Template.ID != "t1" || p.Keypair.ID != "mine" || p.Image != (Choice{}) || p.Network != (Choice{}) || p.Flavor != (Choice{}) {
		t.Errorf("a template decides image, network and flavor: %+v %v", p, err)
	}
	p, err = Decide(asked(func(o *Options) { o.ImageName, o.Cluster = "", "c1" }), found(nil))
	if want := (Plan{Name: p.Name, Cluster: Choice{Thing: Thing{"c1", "theirs"}}}); err != nil || p != want {
		t.Errorf("of a cluster that is there nothing is made: %+v %v", p, err)
	}
}

func TestDecideTellsAllProblems(t *testing.T) {
	for _, c := range []struct {
		reason string
		o      Options
		f      Found
		want   []string
	}{
		{
			"everything that is wrong, at once",
			asked(func(o *Options) {
				o.ImageName, o.Flavor, o.ExternalNetwork, o.Keypair = "twice", "huge", "blue", "yours"
				o.Masters, o.Nodes, o.Only = 2, 0, []string{"nodes", "luck"}
			}),
			found(nil),
			[]string{
				`--masters 2: a control plane has an odd number`, `--nodes 0`, `--masters of more than one need --master-lb`, `there is no check "luck"; there are nodes, pods`,
				`--image-name: 2 of the images are called "twice": use an id`, `--flavor: there is no flavor "huge"; there is large, medium, no disk, tiny`,
				`--external-network: there is no external network "blue"; there is public`, `--keypair: there is no key pair "yours"; there is mine`,
			},
		},
		{"no image", asked(func(o *Options) { o.ImageName = "" }), found(nil), []string{"--image FILE uploads one, --image-name NAME uses one"}},
		{"two images", asked(func(o *Options) { o.Image = "node.raw" }), found(nil), []string{"--image and --image-name exclude each other"}},
		{
			"several networks, and no flavor that fits", asked(nil), found(func(f *Found) { f.Externals, f.Flavors = append(f.Externals, Thing{"n2", "dmz"}), f.Flavors[:1] }),
			[]string{"external networks dmz, public: choose one with --external-network", "no flavor has 2 VCPUs, 3072 MB and 10 GB"},
		},
		{"no network", asked(nil), found(func(f *Found) { f.Externals = nil }), []string{"--public-physical-network and --public-cidr make one"}},
		{
			"a network that members cannot make",
			asked(func(o *Options) { o.Public = PublicNetwork{Physical: "p", CIDR: "10.0.0.0/24"} }), found(func(f *Found) { f.Externals = nil }),
			[]string{"this user is no administrator"},
		},
		{"half a network", asked(func(o *Options) { o.Public.CIDR = "10.0.0.0/24" }), found(nil), []string{"are both needed"}},
		{
			"addresses of another network",
			asked(func(o *Options) {
				o.Public = PublicNetwork{Physical: "p", CIDR: "10.0.0.0/24", Gateway: "10.0.1.1", Pool: "10.0.0.9-x"}
			}),
			found(nil),
			[]string{"--public-gateway: 10.0.1.1 is not in 10.0.0.0/24", "the end of --public-pool"},
		},
	} {
		_, err := Decide(c.o, c.f)
		if err == nil {
			t.Errorf("%s: no error", c.reason)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(c.want) {
			t.Errorf("%s: %d problems, want %d:\n%v", c.reason, len(lines), len(c.want), err)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: nothing says %q:\n%v", c.reason, w, err)
			}
		}
	}
}

func TestOwned(t *testing.T) {
	for _, c := range []struct {
		reason, name, run string
		want              bool
	}{
		{"this run's", "jeroboam-verify-0badcafe", "0badcafe", true},
		{"any run's", "jeroboam-verify-12345678", "", true},
		{"another run's", "jeroboam-verify-12345678", "0badcafe", false},
		{"somebody's that begins like it", "jeroboam-verify-0badcafe-mine", "", false},
		{"somebody's who took the words", "jeroboam-verify-test", "", false},
		{"somebody's that ends like it", "my-jeroboam-verify-0badcafe", "", false},
		{"no name", "", "", false},
	} {
		if got := owned(c.name, c.run); got != c.want {
			t.Errorf("%s: owned(%q, %q) is %t", c.reason, c.name, c.run, got)
		}
	}
}
