package label_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

var update = flag.Bool("update", false, "rewrite docs/labels.md")

const docs = "../../docs/labels.md"

func TestValidate(t *testing.T) {
	const tag = "v1.34.1"
	tests := map[string]struct {
		reason string
		scope  label.Scope
		labels map[string]string
		want   []string
	}{
		"nothing in a cluster": {
			"a cluster needs a version (magnum-cluster-api #821)", label.Cluster, nil,
			[]string{"label kube_tag must be a version vX.Y.Z, for example v1.34.1, and is missing: labels in a request take the place of the template's, unless merge_labels is true"},
		},
		"nothing in a template": {"a cluster made from it may still bring one", label.Template, nil, nil},
		"a plain cluster":       {"", label.Cluster, map[string]string{"kube_tag": tag}, nil},
		"a pre-release":         {"", label.Cluster, map[string]string{"kube_tag": "v1.35.0-rc.1"}, nil},
		"Python's booleans":     {"clients send str(True)", label.NodeGroup, map[string]string{"auto_healing_enabled": "True", "auto_scaling_enabled": "False"}, nil},
		"an unknown label":      {"Magnum takes any", label.NodeGroup, map[string]string{"ingress_controller": "octavia\n"}, nil},
		"an empty mirror":       {"is no mirror", label.NodeGroup, map[string]string{"container_infra_prefix": ""}, nil},
		"all problems at once": {
			"a user should not have to ask twice", label.Cluster,
			map[string]string{"kube_tag": "1.34", "auto_healing_enabled": "maybe", "boot_volume_size": "-1", "server_group_policies": "affinity,spread", "api_server_floating_ip": "fe80::1%eth0"},
			[]string{
				`label kube_tag is "1.34", must be a version vX.Y.Z, for example v1.34.1`,
				`label auto_healing_enabled is "maybe", must be true or false (also 1, t, on, y, yes; 0, f, off, n, no)`,
				`label server_group_policies is "affinity,spread", must be a comma-separated list, each item one of affinity, anti-affinity, soft-affinity, soft-anti-affinity`,
				`label boot_volume_size is "-1", must be a number from 0 to 65536`,
				`label api_server_floating_ip is "fe80::1%eth0", must be an IP address`,
			},
		},
		"an injected argument": {
			"SANs reach a YAML list of the control plane", label.NodeGroup,
			map[string]string{"api_server_cert_sans": "a.example.org\n- --anonymous-auth=true"},
			[]string{`label api_server_cert_sans is "a.example.org\n- --anonymous-auth=true", must be a comma-separated list, each item a DNS name in lower case or an IP address`},
		},
		"a template in a template": {
			"patches of the ClusterClass are Go templates", label.NodeGroup,
			map[string]string{"oidc_client_id": "{{ .builtin }}"},
			[]string{`label oidc_client_id is "{{ .builtin }}", must be letters, digits and : / . _ @ -, at most 512 characters`},
		},
		"host bits": {
			"10.0.0.5/24 and 10.0.0.0/24 would be two names of one network", label.NodeGroup,
			map[string]string{"fixed_subnet_cidr": "10.0.0.5/24"},
			[]string{`label fixed_subnet_cidr is "10.0.0.5/24", must be an IPv4 network such as 10.0.0.0/16, its prefix length from 8 to 29, without host bits`},
		},
		"ovn cannot round robin": {
			"InvalidOctaviaLoadBalancerAlgorithm upstream", label.NodeGroup,
			map[string]string{"octavia_provider": "ovn", "octavia_lb_algorithm": "ROUND_ROBIN"},
			[]string{`label octavia_lb_algorithm is "ROUND_ROBIN", must be SOURCE_IP_PORT with octavia_provider ovn`},
		},
		"amphora cannot hash ports": {
			"", label.NodeGroup,
			map[string]string{"octavia_lb_algorithm": "SOURCE_IP_PORT"},
			[]string{`label octavia_lb_algorithm is "SOURCE_IP_PORT", must be ROUND_ROBIN, LEAST_CONNECTIONS or SOURCE_IP with octavia_provider amphora, the default, or amphorav2`},
		},
		"ovn by itself":      {"its default algorithm follows the provider", label.NodeGroup, map[string]string{"octavia_provider": "ovn"}, nil},
		"another provider":   {"we do not know what it can do", label.NodeGroup, map[string]string{"octavia_provider": "f5", "octavia_lb_algorithm": "SOURCE_IP_PORT"}, nil},
		"more than the most": {"", label.NodeGroup, map[string]string{"min_node_count": "5", "max_node_count": "3"}, []string{`label min_node_count is "5", must be at most max_node_count, which is 3`}},
		"half of OpenID":     {"kube-apiserver would not start", label.NodeGroup, map[string]string{"oidc_issuer_url": "https://id.example.org/realms/k8s"}, []string{"label oidc_client_id must be given together with oidc_issuer_url"}},
		"a cut value": {
			"an error must stay readable", label.NodeGroup,
			map[string]string{"calico_tag": strings.Repeat("x", 129)},
			[]string{fmt.Sprintf("label calico_tag is %q, must be an image tag: letters, digits and . _ -", strings.Repeat("x", 64)+"...")},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range label.Validate(tc.scope, tc.labels) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNetworksAreApart: pods, services and nodes, each with its default where nobody says anything.
func TestNetworksAreApart(t *testing.T) {
	existing, cilium := label.Setting{ExistingNetwork: true}, label.Setting{NetworkDriver: "cilium"}
	for name, tc := range map[string]struct {
		reason string
		scope  label.Scope
		in     label.Setting
		labels map[string]string
		want   []string
	}{
		"nothing": {"the defaults are apart", label.Cluster, label.Setting{}, nil, nil},
		"pods on services": {
			"the default counts too", label.Cluster, existing,
			map[string]string{"calico_ipv4pool": "10.0.0.0/8"},
			[]string{`label calico_ipv4pool is "10.0.0.0/8", must be apart from service_cluster_ip_range, which is 10.254.0.0/16`},
		},
		"nodes on pods": {
			"the default counts too", label.Cluster,
			label.Setting{},
			map[string]string{"fixed_subnet_cidr": "10.100.3.0/24"},
			[]string{`label calico_ipv4pool is "10.100.0.0/16", must be apart from fixed_subnet_cidr, which is 10.100.3.0/24`},
		},
		"pods on nodes": {
			"so does that of nodes", label.Cluster,
			label.Setting{},
			map[string]string{"calico_ipv4pool": "10.0.0.0/16"},
			[]string{`label calico_ipv4pool is "10.0.0.0/16", must be apart from fixed_subnet_cidr, which is 10.0.0.0/24`},
		},
		"services on nodes": {
			"each pair", label.Cluster,
			label.Setting{},
			map[string]string{"service_cluster_ip_range": "10.0.0.0/16"},
			[]string{`label service_cluster_ip_range is "10.0.0.0/16", must be apart from fixed_subnet_cidr, which is 10.0.0.0/24`},
		},
		"cilium's pods on nodes": {
			"each driver", label.Cluster, cilium,
			map[string]string{"cilium_ipv4pool": "10.0.0.0/16"},
			[]string{`label cilium_ipv4pool is "10.0.0.0/16", must be apart from fixed_subnet_cidr, which is 10.0.0.0/24`},
		},
		"an existing network": {"labels do not know its addresses", label.Cluster, existing, map[string]string{"calico_ipv4pool": "10.0.0.0/16"}, nil},
		"a template":          {"a cluster of it may be put into an existing network", label.Template, label.Setting{}, map[string]string{"calico_ipv4pool": "10.0.0.0/16"}, nil},
		"a template's own": {
			"it says where nodes live", label.Template,
			label.Setting{},
			map[string]string{"calico_ipv4pool": "10.0.0.0/16", "fixed_subnet_cidr": "10.0.0.0/24"},
			[]string{`label calico_ipv4pool is "10.0.0.0/16", must be apart from fixed_subnet_cidr, which is 10.0.0.0/24`},
		},
		"the other network driver's pool": {
			"calico's default is not used with cilium", label.Cluster, cilium,
			map[string]string{"cilium_ipv4pool": "172.16.0.0/16", "service_cluster_ip_range": "10.100.0.0/16"},
			nil,
		},
	} {
		var got []string
		for _, err := range label.CheckNetworks(tc.scope, tc.in, tc.labels) {
			got = append(got, err.Error())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s: -want +got\n%s", name, tc.reason, diff)
		}
	}
}

func TestBoolIsStrictAsInOslo(t *testing.T) {
	for v, want := range map[string]struct{ valid, value bool }{
		"true": {true, true}, "True": {true, true}, "TRUE": {true, true}, "1": {true, true}, "t": {true, true},
		"on": {true, true}, "y": {true, true}, "yes": {true, true}, " yes ": {true, true},
		"false": {true, false}, "False": {true, false}, "0": {true, false}, "f": {true, false}, "off": {true, false},
		"n": {true, false}, "no": {true, false},
		"": {false, true}, "2": {false, true}, "enabled": {false, true}, "tru": {false, true}, "true\n": {false, true}, "None": {false, true},
	} {
		labels := map[string]string{label.AutoHealingEnabled: v}
		if valid := len(label.Validate(label.NodeGroup, labels)) == 0; valid != want.valid {
			t.Errorf("%q: valid is %v, want %v", v, valid, want.valid)
		}
		if got := label.Of(labels).Bool(label.AutoHealingEnabled); got != want.value {
			t.Errorf("%q reads as %v, want %v (a wrong value reads as the default, true)", v, got, want.value)
		}
	}
}

func TestValues(t *testing.T) {
	v := label.Of(map[string]string{
		"kube_tag": "v1.34.1", "container_infra_prefix": "registry.example.org:5000/k8s/", "api_server_cert_sans": "a.example.org, 192.0.2.1,,",
		"boot_volume_size": "many", "audit_log_max_age": "7",
	})
	got := map[string]any{
		"version": v.KubeTag(), "prefix": v.String(label.ContainerInfraPrefix), "sans": v.CSV(label.APIServerCertSANs), "joined": v.String(label.APIServerCertSANs),
		"wrong": v.Int(label.BootVolumeSize), "age": v.Int(label.AuditLogMaxAge), "backup": v.Int(label.AuditLogMaxBackup), "none": v.CSV(label.ControlPlaneZones),
		"has": v.Has(label.BootVolumeSize), "unknown": v.String("no_such_label"),
	}
	want := map[string]any{
		"version": "v1.34.1", "prefix": "registry.example.org:5000/k8s", "sans": []string{"a.example.org", "192.0.2.1"}, "joined": "a.example.org,192.0.2.1",
		"wrong": 0, "age": 7, "backup": 10, "none": []string(nil), "has": false, "unknown": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestUnknown(t *testing.T) {
	got := label.Unknown(map[string]string{"kube_tag": "v1.34.1", "zz": "", "audit_log_maxage": "3"})
	if diff := cmp.Diff([]string{"audit_log_maxage", "zz"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestRegistryIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range label.Registry() {
		switch {
		case seen[l.Name]:
			t.Errorf("%s is there twice", l.Name)
		case l.Doc == "" || l.Since == "" && l.Source != "Jeroboam" || l.Source == "" || l.Effect == "" || l.Scope == 0:
			t.Errorf("%s is not described: %+v", l.Name, l)
		case l.Default != "" && len(label.Validate(label.NodeGroup, map[string]string{l.Name: l.Default})) != 0:
			t.Errorf("%s: its default %q is not valid", l.Name, l.Default)
		case l.Default != "" && l.DefaultDoc != "":
			t.Errorf("%s has two defaults", l.Name)
		}
		seen[l.Name] = true
	}
	label.Registry()[0].Name = "changed"
	if label.Registry()[0].Name != label.KubeTag {
		t.Error("a caller can change the registry")
	}
}

// Whatever a tenant writes, a value that passes cannot leave the place it is put: a YAML scalar, a Go template, a shell
// word, a systemd unit. The few marks that a type needs are named.
func FuzzValidate(f *testing.F) {
	for i, l := range label.Registry() {
		f.Add(i, l.Default)
		f.Add(i, l.Default+"\n- evil")
		f.Add(i, "{{ "+l.Name+" }}")
	}
	f.Add(0, "v1.2.3-rc.1")
	f.Fuzz(func(t *testing.T, i int, value string) {
		ls := label.Registry()
		if i < 0 || i >= len(ls) {
			t.Skip()
		}
		holds(t, ls[i], value)
	})
}

func TestNoValueInjects(t *testing.T) {
	ls := label.Registry()
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringOf(rapid.RuneFrom([]rune("v1.2-a,A/: \n\t\"'`{}[]$#&*!|>%@\\<;()=~\u0000\u2028é"))).Draw(rt, "value")
		holds(rt, rapid.SampledFrom(ls).Draw(rt, "label"), value)
	})
}

func holds(t interface{ Fatalf(string, ...any) }, l label.Label, value string) {
	labels := map[string]string{l.Name: value, "noise\n": value}
	valid := true
	for _, err := range label.Validate(label.Template, labels) {
		if !strings.Contains(err.Error(), "label ") || strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 600 {
			t.Fatalf("unfit error text %q", err)
		}
		var e *label.Error
		if errors.As(err, &e) && e.Label == l.Name && e.Value == value {
			valid = false
		}
	}
	forbidden := "\n\r\t\x00\"'`{}[]$#&!|>\\<;()=^?"
	if l.Type == label.Text || l.Type == label.Zone {
		holdsName(t, l, value, valid)
		return
	}
	if l.Type != label.URL {
		forbidden += "%" // a path may be percent-encoded
	}
	if l.Type != label.Host {
		forbidden += "*" // a certificate may be for *.example.org
	}
	if valid && strings.ContainsAny(value, forbidden) {
		t.Fatalf("%s takes %q", l.Name, value)
	}
	v := label.Of(labels)
	_, _, _ = v.Bool(l.Name), v.Int(l.Name), v.CSV(l.Name)
	if got := v.String(l.Name); strings.ContainsAny(got, forbidden) {
		t.Fatalf("%s reads %q as %q", l.Name, value, got)
	}
}

// holdsName: names of the cloud may hold anything that prints. That they go into Cluster API's objects as JSON is
// capi's test TestNamesOfTheCloud.
func holdsName(t interface{ Fatalf(string, ...any) }, l label.Label, value string, valid bool) {
	got := label.Of(map[string]string{l.Name: value}).String(l.Name)
	for _, v := range []string{value, got} {
		control := strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f })
		if (valid || v == got) && (control || !l.List && strings.Trim(v, " ") != v || len(v) > 4096) {
			t.Fatalf("%s takes %q and reads %q", l.Name, value, got)
		}
	}
}

func TestDocumentation(t *testing.T) {
	want := markdown()
	if *update {
		if err := os.WriteFile(docs, want, 0o644); err != nil { //nolint:gosec // G306: documentation is for all to read.
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/labels.md is not what the registry says; run go test ./internal/label -update: -want +got\n%s", diff)
	}
}

func markdown() []byte {
	var b bytes.Buffer
	b.WriteString("# Labels\n\n<!-- Made from internal/label by go test ./internal/label -update. Change it there. -->\n\n" +
		"Labels refine a cluster template, a cluster or a node group (`--labels name=value,…`). Magnum takes any label; these are\n" +
		"the ones that have an effect. A wrong value is refused when the request is made, with all that is wrong at once.\n\n" +
		"\"Changes\" is what of a cluster a label acts on, \"From\" the moment from which it, or a change of it, has its effect:\n" +
		"\"creation\" of the cluster or node group fixes it for good, as in Magnum; an \"upgrade\" takes it from the template that it\n" +
		"moves to. What changes \"at once\" is changed in the cluster, for example:\n\n" +
		"    openstack coe cluster update NAME add labels/api_server_allowed_cidrs=192.0.2.0/24\n\n" +
		"Booleans may be written true, t, 1, on, y, yes or false, f, 0, off, n, no. Lists are separated by commas. \"Since\" is the\n" +
		"release of magnum-cluster-api that first knew the label.\n")
	for _, e := range []struct {
		effect label.Effect
		title  string
	}{{label.Machines, "Clusters and machines"}, {label.Addon, "What is installed into clusters"}} {
		fmt.Fprintf(&b, "\n## %s\n\n| Label | Value | Default | On | Changes | From | Meaning | Since |\n|---|---|---|---|---|---|---|---|\n", e.title)
		for _, l := range label.Registry() {
			if l.Effect == e.effect {
				from := string(l.From)
				if l.Unread {
					from = "**no effect in this release**"
				}
				doc := l.Doc
				if needs := l.Without(); needs != "" {
					doc += " Without effect, and refused, without " + needs + "."
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n",
					l.Name, value(l), fallback(l), scope(l), l.Changes, from, doc, l.Since)
			}
		}
	}
	return b.Bytes()
}

func value(l label.Label) string {
	s := string(l.Type)
	switch l.Type {
	case label.Enum:
		s = "`" + strings.Join(l.Allowed, "`, `") + "`"
	case label.Int:
		s = fmt.Sprintf("%d to %d", l.Min, l.Max)
	}
	if l.List {
		s = "list of " + s
	}
	return s
}

func fallback(l label.Label) string {
	switch {
	case l.Required:
		return "**required**"
	case l.DefaultDoc != "":
		return l.DefaultDoc
	case l.Default == "":
		return "none"
	}
	return "`" + strings.ReplaceAll(l.Default, ",", "`, `") + "`"
}

func scope(l label.Label) string {
	switch l.Scope {
	case label.Both:
		return "cluster, node group"
	case label.NodeGroup:
		return "node group"
	}
	return "cluster"
}

// TestEveryLabelIsRead: a label in the documentation that nothing reads would be taken and do nothing. Code names a
// label by its constant or by its text; what only this package does with it does not count.
func TestEveryLabelIsRead(t *testing.T) {
	constants := map[string]string{} // name of the constant -> label
	own, err := parser.ParseFile(token.NewFileSet(), "registry.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(own, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == 1 && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				constants[spec.Names[0].Name], _ = strconv.Unquote(lit.Value)
			}
		}
		return true
	})
	read := map[string]bool{}
	through := map[string][]string{"Bounds": {label.MinNodeCount, label.MaxNodeCount}, "Pool": {label.CalicoPool, label.CiliumPool}}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../label/") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "label" {
					read[constants[n.Sel.Name]] = true
					for _, name := range through[n.Sel.Name] {
						read[name] = true
					}
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					read[text] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range label.Registry() {
		switch {
		case !read[l.Name] && !l.Unread:
			t.Errorf("nothing reads the label %s: wire it, or say so in the registry (Unread)", l.Name)
		case read[l.Name] && l.Unread:
			t.Errorf("the label %s is read, and the registry says that it has no effect: take Unread away, then -update", l.Name)
		}
		if l.Changes == "" || l.From == "" {
			t.Errorf("the documentation of %s does not say what it changes and from when", l.Name)
		}
	}
}
