package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Update is for all tests of the package: those outside of it know more of a deployment.
var Update = golden.Flag()

// lines are items as people read them.
func lines(items []host.Item) string {
	var b strings.Builder
	for _, i := range items {
		t := i.Thing(nil)
		fmt.Fprintf(&b, "%s %s", t.Kind, t.Name)
		for _, k := range []string{"mode", "owner", "server", "user", "bound", "enabled", "active", "instances"} {
			if v, ok := t.Want[k]; ok {
				fmt.Fprintf(&b, " %s=%s", k, v)
			}
		}
		if t.Want == nil {
			b.WriteString(" GONE")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func host1() intent.ProxyHost {
	return intent.ProxyHost{
		Container:   intent.Container{Name: "net1", PhysicalHost: "net1", IsMetal: true},
		Environment: map[string]string{"PROXY_BIND": "172.29.236.31", "PROXY_PORT": "44355", "PROXY_ALWAYS": "1"},
	}
}

func TestItems(t *testing.T) {
	w := Wish{Program: "sha256:ab", Server: "https://172.29.236.9:6443", Authority: "sha256:cd", Renew: 60 * 24 * time.Hour}
	onHost := want(w, host1(), "u1", false)
	golden.Compare(t, *Update, "items.txt", "a host:\n"+lines(onHost)+"\nback:\n"+lines(leave())+"\nremoved:\n"+lines(gone(true))+"\na node:\n"+lines(accessItems(w, "", true)))
	for name, items := range map[string][]host.Item{"a host": onHost, "a node": accessItems(w, "", true)} {
		last := items[len(items)-1]
		uses := last.Follows()
		for _, i := range items { // whatever it reads makes it start again
			path := ""
			switch {
			case i.File != nil && !i.File.Dir:
				path = i.File.Path
			case i.Credential != nil:
				path = i.Credential.Path
			default:
				continue
			}
			if !strings.Contains("\n"+strings.Join(uses, "\n")+"\n", "\n"+path+"\n") {
				t.Errorf("%s: the service does not notice that %s changes", name, path)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		reason string
		env    map[string]string
		old    bool
		want   string
	}{
		{"nothing said: a fixed port, for takeovers", nil, false, `PROXY_PORT="8443"`},
		{"any free port is no port to take over", map[string]string{"PROXY_PORT": "0"}, false, `PROXY_PORT="8443"`},
		{"the operator's", map[string]string{"PROXY_PORT": "44355", "PROXY_BIND": "10.0.0.1"}, false, "PROXY_BIND=\"10.0.0.1\"\nPROXY_PORT=\"44355\""},
		{"what a shell or systemd would read otherwise", map[string]string{"X": "a \"b\" $c `d` \\e\nf"}, false, "PROXY_PORT=\"8443\"\nX=\"a \\\"b\\\" \\$c \\`d\\` \\\\e f\""},
		{"among old hosts", nil, true, "ARGS=\"--old-hosts\"\nPROXY_PORT=\"8443\""},
		{"the operator's own flags stay", map[string]string{"ARGS": "--plane haproxy"}, true, "ARGS=\"--plane haproxy --old-hosts\"\nPROXY_PORT=\"8443\""},
	} {
		h := host1()
		h.Environment = tt.env
		if got := environmentOf(h, tt.old); got != "# Written by jeroboam deploy.\n"+tt.want+"\n" {
			t.Errorf("%s: %q", tt.reason, got)
		}
	}
}

// A host may have no default route to take an address from. What the operator says stands.
func TestAddress(t *testing.T) {
	h := host1()
	h.ManagementAddress, h.Environment = "172.29.236.31", nil
	if got := environmentOf(h, false); !strings.Contains(got, `POD_IP="172.29.236.31"`) {
		t.Errorf("nothing said: %q", got)
	}
	at := func() string {
		var in intent.Intent
		in.Proxy.Hosts = []intent.ProxyHost{h}
		return strings.Join(Addresses(in), " ")
	}
	if got := at(); got != "172.29.236.31:8443" {
		t.Errorf("nothing said: clients go to %q", got)
	}
	h.Environment, h.Bind, h.Advertise, h.Port = map[string]string{"PROXY_BIND": "10.0.0.1"}, "10.0.0.1", "10.0.0.1", 44355
	if got := at(); got != "10.0.0.1:44355" {
		t.Errorf("another address: clients go to %q", got)
	}
	if got := environmentOf(h, false); strings.Contains(got, "POD_IP") {
		t.Errorf("another address to listen on: %q", got)
	}
}

func TestRuns(t *testing.T) {
	theirs, ours := Found{Theirs: true}, Found{Ours: true}
	for _, tt := range []struct {
		reason, word, serves string
		found                map[string]Found
		want, says           string
	}{
		{reason: "a new cloud", serves: "jeroboam", found: map[string]Found{"net1": {}}, want: "jeroboam"},
		{reason: "beside OpenStack's own Magnum, on hosts without one", serves: "magnum", found: map[string]Found{"net1": {}}, want: "jeroboam"},
		{reason: "the old ones stay with their Magnum", serves: "magnum", found: map[string]Found{"net1": theirs}, want: "magnum-cluster-api", says: "stays"},
		{reason: "and go with it", serves: "jeroboam", found: map[string]Found{"net1": theirs, "net2": ours}, want: "jeroboam", says: "on net1."},
		{reason: "the operator's word", word: "jeroboam", serves: "magnum", found: map[string]Found{"net1": theirs}, want: "jeroboam", says: "host by host"},
		{reason: "the operator's other word", word: "magnum-cluster-api", serves: "jeroboam", found: map[string]Found{"net1": ours}, want: "magnum-cluster-api"},
	} {
		in := intent.Intent{Proxy: intent.Proxy{Pattern: "network_hosts", Implementation: tt.word, Hosts: []intent.ProxyHost{host1()}}}
		got, why := runs(in, tt.serves, tt.found)
		if got != tt.want || !strings.Contains(why.Text, tt.says) || tt.says == "" && why.Text != "" || why.Blocks {
			t.Errorf("%s: %s, %+v", tt.reason, got, why)
		}
	}
	if got, _ := runs(intent.Intent{}, "jeroboam", nil); got != "" {
		t.Errorf("without a host, %s runs", got)
	}
	seen := []plan.Facts{{"mode": "0644"}, {"active": "yes"}, {"content": "ARGS=\"--old-hosts\"\n"}}
	if got := foundBy(seen); got != (Found{Ours: true, Theirs: true, OldHosts: true}) {
		t.Errorf("%+v", got)
	}
	if got := foundBy(make([]plan.Facts, len(witnesses()))); got != (Found{}) {
		t.Errorf("%+v", got)
	}
}

// No token that never ends is made, and what hosts may do is all there.
func TestManifest(t *testing.T) {
	text := string(manifest(false))
	if strings.Contains(text, "service-account-token") || strings.Contains(text, "kind: Secret\n") {
		t.Error("the cluster gets a token that never ends")
	}
	for _, kind := range []string{"ServiceAccount", "Role", "RoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
		if !strings.Contains(text, "kind: "+kind+"\n") {
			t.Errorf("there is no %s", kind)
		}
	}
	if strings.Contains(text, "name: magnum-system\n---") || !strings.Contains(string(manifest(true)), "kind: Namespace\nmetadata:\n  name: magnum-system\n") {
		t.Error("the namespace of clusters")
	}
}
