package simcloud

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// The page shows the built-in seed; this keeps it true.
func TestDocumentShowsTheDefault(t *testing.T) {
	page, err := os.ReadFile("../../docs/simcloud.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "<!-- default.yaml -->\n```yaml\n")
	example, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatal("docs/simcloud.md has no block after <!-- default.yaml -->")
	}
	if diff := cmp.Diff(string(DefaultYAML()), example); diff != "" {
		t.Errorf("copy allinone/simcloud/default.yaml into docs/simcloud.md:\n%s", diff)
	}
}

func TestParseSeed(t *testing.T) {
	cases := map[string]struct {
		reason string
		text   string
		want   []string
	}{
		"Default": {reason: "Nothing given is the built-in seed."},
		"Partial": {reason: "A key replaces the built-in one.", text: "region: Two\nvolume_types: []\n"},
		"Many": {
			reason: "All problems at once, each with its line.",
			text: `region: RegionTwo
token_lifetime: soon
users:
  - name: a
    pasword: x
    roles:
      - {role: king, project: demo}
      - {role: admin}
  - {name: a, password: p, default_project: nowhere}
networks:
  - {name: n, subnets: [{name: s, cidr: 10.0.0.0}]}
keypairs:
  - {user: a, name: k, public_key: nonsense}
faults:
  requests:
    - {service: heat, status: 500}
surprise: 1
`,
			want: []string{
				`line 2: `,
				`line 4: users[0]: user "a" needs a password`,
				`line 5: unknown key "pasword"`,
				`line 7: users[0].roles[0].role: role "king" is none of admin, member, reader, service`,
				`line 8: users[0].roles[1]: a role needs either a project or system: true`,
				`line 9: users[1].name: users has "a" twice`,
				`line 9: users[1].default_project: there is no project "nowhere"`,
				`line 11: networks[0].subnets[0].cidr: cidr "10.0.0.0" is not a network such as 10.0.0.0/24`,
				`line 13: keypairs[0].public_key: public_key: not a public key in OpenSSH's form`,
				`line 16: faults.requests[0]: there is no service "heat"`,
				`line 17: unknown key "surprise"`,
			},
		},
		"NotYAML": {reason: "Not YAML at all.", text: "a: [", want: []string{"yaml: line 1"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSeed([]byte(tc.text))
			if (err != nil) != (tc.want != nil) {
				t.Fatalf("%s\n%v", tc.reason, err)
			}
			if tc.want == nil {
				return
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("%s\nwant %d problems, got:\n%v", tc.reason, len(tc.want), err)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("%s\nwant %q\ngot  %q", tc.reason, want, lines[i])
				}
			}
		})
	}
	if _, err := ReadSeed(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is told")
	}
}

func TestCloudsYAML(t *testing.T) {
	r := start(t)
	path := filepath.Join(t.TempDir(), "new", "clouds.yaml")
	if err := r.WriteCloudsYAML(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("passwords are the owner's only: %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Clouds map[string]struct {
			Auth map[string]string `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	projects := map[string]string{}
	for name, cloud := range doc.Clouds {
		projects[name] = cloud.Auth["project_name"]
	}
	want := map[string]string{"demo": "demo", "reader": "demo", "other": "other", "admin": "admin"}
	if diff := cmp.Diff(want, projects); diff != "" {
		t.Error(diff)
	}
}
