package oslo_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
)

// lines splits a joined error into its messages.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func read(t *testing.T, text string) *oslo.Config {
	t.Helper()
	c, err := oslo.Read(oslo.Source{Name: "magnum.conf", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadReportsEverything(t *testing.T) {
	cases := map[string]struct {
		reason string
		files  map[string]string
		want   []string
	}{
		"EverySyntaxError": {
			reason: "an operator fixes a file once, not once per mistake",
			files: map[string]string{"a.conf": "early = 1\nmore = 2\n[api]\nport 9511\n  odd\n= x\n\n  y\n[broken\nport = 1\n[]\nx=1\n[ok]\nport = 1\n" +
				"pass = \xff\xfe\n  more\n"},
			want: []string{
				"a.conf:1: expected a [section] before the first option",
				"a.conf:4: expected key = value, a [section] or a comment",
				"a.conf:6: expected the name of an option before =",
				"a.conf:8: expected no indentation, since there is no option above that this line could continue",
				"a.conf:9: expected a section header that ends with ]",
				"a.conf:11: expected a section name between [ and ]",
				"a.conf:15: expected UTF-8 text",
			},
		},
		"EveryFile": {
			reason: "a second bad file is not hidden by the first",
			files:  map[string]string{"a.conf": "x\n", "b.conf": "[api]\ny\n"},
			want: []string{
				"a.conf:1: expected key = value, a [section] or a comment",
				"b.conf:2: expected key = value, a [section] or a comment",
			},
		},
		"ByteOrderMark": {
			reason: "oslo.config refuses a file that some editors write; there is no doubt what it means",
			files:  map[string]string{"a.conf": "\ufeff[DEFAULT]\nx=1\n"},
		},
		"NoSecrets": {
			reason: "the text of a broken line may be a password, so it is not shown",
			files:  map[string]string{"a.conf": "[DEFAULT]\nhunter2\n"},
			want:   []string{"a.conf:2: expected key = value, a [section] or a comment"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var sources []oslo.Source
			for _, name := range []string{"a.conf", "b.conf"} {
				sources = append(sources, oslo.Source{Name: name, Data: []byte(tc.files[name])})
			}
			c, err := oslo.Read(sources...)
			if diff := cmp.Diff(tc.want, lines(err)); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
			if c == nil {
				t.Errorf("%s: no configuration to go on with", tc.reason)
			}
		})
	}
}

func TestGettersCollectErrors(t *testing.T) {
	c := read(t, `[api]
port = abc
workers = 1.5
enabled = perhaps
type = ftp
[nova_client]
timeout = soon
retry = 0x10
ratio = nan
forever = 1e300
password = pa$word
huge = 99999999999999999999
hosts = $x
hosts = ok
list = $x
`)
	const group = "nova_client"
	got := []any{
		c.Int("api", "port", 9511), c.Int("api", "port", 9511), c.Int("api", "workers", 3), c.Bool("api", "enabled", true),
		c.Choice("api", "type", "http", "http", "https"), c.Seconds(group, "timeout", time.Minute), c.Int(group, "retry", 7),
		c.Float(group, "ratio", 0.5), c.Seconds(group, "forever", time.Hour), c.String(group, "password", "none"),
		c.Int(group, "huge", 1), c.Strings(group, "hosts", nil), c.List(group, "list", []string{"d"}),
	}
	want := []any{9511, 9511, 3, true, "http", time.Minute, 7, 0.5, time.Hour, "none", 1, []string{"ok"}, []string{"d"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a getter that fails answers its default: -want +got\n%s", diff)
	}
	c.Reject(group, "password", "a longer password")
	c.Reject(group, "absent", "some value")
	const unknown = "to be the name of an option that is set (write $$ for a dollar sign)"
	wantErr := []string{
		`magnum.conf:2: [api] port: expected a whole number, found "abc"`,
		`magnum.conf:3: [api] workers: expected a whole number, found "1.5"`,
		`magnum.conf:4: [api] enabled: expected true or false, found "perhaps"`,
		`magnum.conf:5: [api] type: expected one of http, https, found "ftp"`,
		`magnum.conf:7: [nova_client] timeout: expected a number of seconds, found "soon"`,
		`magnum.conf:8: [nova_client] retry: expected a whole number, found "0x10"`,
		`magnum.conf:9: [nova_client] ratio: expected a number, found "nan"`,
		`magnum.conf:10: [nova_client] forever: expected a number of seconds, found "1e300"`,
		`magnum.conf:11: [nova_client] password: expected $word ` + unknown,
		`magnum.conf:12: [nova_client] huge: expected a whole number, found "99999999999999999999"`,
		`magnum.conf:13: [nova_client] hosts: expected $x ` + unknown,
		`magnum.conf:15: [nova_client] list: expected $x ` + unknown,
		`magnum.conf:11: [nova_client] password: expected a longer password`,
		`default: [nova_client] absent: expected some value`,
	}
	if diff := cmp.Diff(wantErr, lines(c.Err())); diff != "" {
		t.Errorf("every problem is reported once, with its place: -want +got\n%s", diff)
	}
}

func TestDefaultsAndSeconds(t *testing.T) {
	c := read(t, "[kubernetes]\nhealth_polling_interval = 60\nfast = 0.25\noff = -1\nempty =\n")
	const g = "kubernetes"
	got := []any{
		c.Seconds(g, "health_polling_interval", 0), c.Seconds(g, "fast", 0), c.Seconds(g, "off", 0), c.Seconds(g, "empty", time.Hour),
		c.Seconds(g, "absent", time.Minute), c.String(g, "absent", "x"), c.List(g, "absent", []string{"a"}),
		c.Strings(g, "absent", []string{"b"}), c.Has(g, "fast"), c.Has(g, "absent"), c.Choice(g, "absent", "any", "a"),
	}
	want := []any{
		time.Minute, 250 * time.Millisecond, -time.Second, time.Hour,
		time.Minute, "x",
		[]string{"a"},
		[]string{"b"},
		true, false, "any",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestEnvironment(t *testing.T) {
	c := read(t, "[DEFAULT]\ndebug = false\nmany = 1\nmany = 2\nurl = http://$host\n[api]\nport = 1\n")
	c.SetEnvironment([]string{
		"OS_DEFAULT__DEBUG=true", "OS_API__PORT=no", "OS_API__HOST=h=1", "OS_DEFAULT__MANY=3", "OS_DEFAULT__HOST=env",
		"OS_AUTH_URL=x", "PATH=y", "OS_Api__Workers=5",
	})
	got := []any{
		c.Bool("", "debug", false), c.Int("API", "port", 9511), c.String("api", "host", ""), c.Strings("DEFAULT", "many", nil),
		c.String("", "url", ""), c.Int("api", "workers", 1),
	}
	want := []any{true, 9511, "h=1", []string{"3"}, "http://env", 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the environment wins over files, in upper case only: -want +got\n%s", diff)
	}
	wantErr := []string{`environment variable OS_API__PORT: [api] port: expected a whole number, found "no"`}
	if diff := cmp.Diff(wantErr, lines(c.Err())); diff != "" {
		t.Errorf("a variable is named like a file: -want +got\n%s", diff)
	}
}

func TestSubstitution(t *testing.T) {
	cases := map[string]struct {
		reason string
		text   string
		want   string
		err    string
	}{
		"KnownDefault": {
			reason: "oslo.config knows defaults of registered options; ours are told",
			text:   "[o]\na = $state_path/tmp", want: "/var/lib/magnum/tmp",
		},
		"FileBeforeDefault": {
			reason: "a set option is not its default",
			text:   "[DEFAULT]\nstate_path = /x\n[o]\na = ${state_path}/tmp", want: "/x/tmp",
		},
		"ExplicitDefaultGroup": {
			reason: "oslo.config has no group DEFAULT in references; what is meant is plain",
			text:   "[DEFAULT]\nb = 1\n[o]\na = ${DEFAULT.b}", want: "1",
		},
		"Circle": {
			reason: "a circle must end, and name a member",
			text:   "[o]\na = $b\nb = $c\nc = $b",
			err:    "magnum.conf:2: [o] a: expected no reference in a circle, but $b leads back to itself",
		},
		"Long": {
			reason: "nor fill the memory",
			text:   "[o]\na = $b$b$b$b\nb = " + strings.Repeat("x", 300000) + "\n",
			err:    "magnum.conf:2: [o] a: expected a shorter text after replacing its references",
		},
		"Explosion": {
			reason: "doubling again and again must not take for ever",
			text: "[o]\na = $x0$x0\nx0 = $x1$x1\nx1 = $x2$x2\nx2 = $x3$x3\nx3 = $x4$x4\nx4 = $x5$x5\nx5 = $x6$x6\nx6 = $x7$x7\n" +
				"x7 = $x8$x8\nx8 = $x9$x9\nx9 = $y0$y0\ny0 = $y1$y1\ny1 =\n",
			err: "magnum.conf:2: [o] a: expected fewer references in it to other options",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := read(t, tc.text)
			c.SetDefault("", "state_path", "/var/lib/magnum")
			if got := c.String("o", "a", ""); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
			if diff := cmp.Diff(tc.err, strings.Join(lines(c.Err()), "\n")); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

func TestUnused(t *testing.T) {
	c := read(t, "[capi_client]\nendpoint = internalURL\nca_file = $dir/ca\nca_file = x$dir\n[DEFAULT]\ndir = /etc\nDebug = 1\n[API]\nPort = 1\n")
	c.String("capi_client", "ca_file", "")
	c.String("capi_client", "endpoint_type", "")
	c.Has("", "Debug")
	var got []string
	for _, o := range c.Unused() {
		got = append(got, o.String())
	}
	want := []string{
		"magnum.conf:2: [capi_client] endpoint", "magnum.conf:7: [DEFAULT] Debug", "magnum.conf:9: [API] Port",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what nobody asked for, spelled as in the file; a reference is asking: -want +got\n%s", diff)
	}
}

func TestReadDir(t *testing.T) {
	fsys := fstest.MapFS{
		"20-b.conf":    {Data: []byte("[DEFAULT]\na = b\n")},
		"10-a.conf":    {Data: []byte("[DEFAULT]\na = a\n")},
		"30.conf.bak":  {Data: []byte("a = no\n")},
		".#40.conf":    {Data: []byte("a = no\n")},
		"dir.conf/x":   {Data: []byte("a = no\n")},
		"sub/50.conf":  {Data: []byte("a = no\n")},
		"README":       {Data: []byte("a = no\n")},
		"15-empty.ini": {},
	}
	sources, err := oslo.ReadDir(fsys, "/etc/magnum/magnum.conf.d")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range sources {
		names = append(names, s.Name)
	}
	want := []string{"/etc/magnum/magnum.conf.d/10-a.conf", "/etc/magnum/magnum.conf.d/20-b.conf"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("sorted, *.conf only: -want +got\n%s", diff)
	}
	if _, err := oslo.ReadDir(os.DirFS("testdata/none"), "/etc/none.d"); err == nil || !strings.Contains(err.Error(), "/etc/none.d") {
		t.Errorf("an unreadable directory is an error that names it, got %v", err)
	}
}
