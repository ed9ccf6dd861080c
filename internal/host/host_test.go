package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// machine is a directory that stands for one, with commands that answer what the test says.
func machine(t *testing.T, answers map[string]string) (*host.Machine, *[]string) {
	t.Helper()
	var ran []string
	return &host.Machine{
		Root: t.TempDir(), Now: time.Now,
		Exec: func(_ context.Context, c host.Command) (host.Output, error) {
			line := strings.Join(c.Args, " ")
			ran = append(ran, line)
			for prefix, out := range answers {
				if strings.HasPrefix(line, prefix) {
					return host.Output{Out: out}, nil
				}
			}
			return host.Output{Code: 127}, fmt.Errorf("the test knows no %q", line)
		},
	}, &ran
}

func put(t *testing.T, m *host.Machine, path, text string) {
	t.Helper()
	p := filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// settle brings an item there and says what changed, and fails if a second time changes something.
func settle(t *testing.T, m *host.Machine, i host.Item) []string {
	t.Helper()
	var said []string
	report := func(e host.Event) {
		if e.Done {
			said = append(said, string(e.Change.Action)+" "+e.Change.Kind+" "+e.Change.Name)
		}
	}
	if err := host.Ensure(t.Context(), m, []host.Item{i}, report); err != nil {
		t.Fatal(err)
	}
	n := len(said)
	if err := host.Ensure(t.Context(), m, []host.Item{i}, report); err != nil {
		t.Fatal(err)
	}
	if len(said) != n {
		t.Errorf("a second time changes again: %q", said[n:])
	}
	return said
}

func owner(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		return "root:root"
	}
	t.Skip("owners can only be set as root: run the tests as root to test files")
	return ""
}

func TestFiles(t *testing.T) {
	own := owner(t)
	tests := []struct {
		reason string
		before map[string]string
		file   host.File
		want   []string
		check  func(t *testing.T, root string)
	}{
		{
			reason: "a new file comes with its directories",
			file:   host.File{Path: "/etc/a/b", Content: "x\n", Owner: own},
			want:   []string{"create file /etc/a/b"},
		},
		{
			reason: "another content is an update",
			before: map[string]string{"/etc/a": "old\n"},
			file:   host.File{Path: "/etc/a", Content: "new\n"},
			want:   []string{"update file /etc/a"},
		},
		{
			reason: "the same content is nothing",
			before: map[string]string{"/etc/a": "same\n"},
			file:   host.File{Path: "/etc/a", Content: "same\n"},
		},
		{
			reason: "content that may only be made once is left alone",
			before: map[string]string{"/etc/ca.key": "theirs\n"},
			file:   host.File{Path: "/etc/ca.key", Content: "ours\n", Once: true, Secret: true},
			check: func(t *testing.T, root string) {
				t.Helper()
				if b, _ := os.ReadFile(filepath.Join(root, "etc/ca.key")); string(b) != "theirs\n" {
					t.Errorf("the file has %q", b)
				}
			},
		},
		{
			reason: "a link replaces a file",
			before: map[string]string{"/root/.kube/config": "file"},
			file:   host.File{Path: "/root/.kube/config", Link: "/etc/kubernetes/admin.conf"},
			want:   []string{"update file /root/.kube/config"},
		},
		{
			reason: "what should be gone goes",
			before: map[string]string{"/etc/a": "x"},
			file:   host.File{Path: "/etc/a", Gone: true},
			want:   []string{"delete file /etc/a"},
		},
		{
			reason: "a program comes from the store",
			before: map[string]string{"/var/lib/jeroboam/blobs/sha256/" + digest("program")[7:]: "program"},
			file:   host.File{Path: "/usr/bin/program", Blob: digest("program"), Mode: 0o755},
			want:   []string{"create file /usr/bin/program"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			m, _ := machine(t, nil)
			for path, text := range tt.before {
				put(t, m, path, text)
			}
			if diff := cmp.Diff(tt.want, settle(t, m, host.Item{File: &tt.file})); diff != "" {
				t.Error(diff)
			}
			if tt.check != nil {
				tt.check(t, m.Root)
			}
		})
	}
}

func TestSecretsStayOutOfPlans(t *testing.T) {
	owner(t)
	m, _ := machine(t, nil)
	put(t, m, "/etc/key", "old secret")
	i := host.Item{Place: "n", File: &host.File{Path: "/etc/key", Content: "new secret", Secret: true}}
	have, err := host.Observe(t.Context(), m, []host.Item{i})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(i.Diff(have[0]))
	if err != nil || !strings.Contains(string(text), "update") {
		t.Fatalf("%s %v", text, err)
	}
	if strings.Contains(string(text), "secret\"") || strings.Contains(string(text), "new secret") || strings.Contains(string(text), "old secret") {
		t.Errorf("the plan has the secret: %s", text)
	}
}

func TestStoreTakesOnlyWhatItShould(t *testing.T) {
	m, _ := machine(t, nil)
	if err := host.Store(m, digest("right"), strings.NewReader("wrong")); err == nil {
		t.Error("another content was taken")
	}
	if err := host.Store(m, "sha256:../../etc/passwd", strings.NewReader("")); err == nil {
		t.Error("a path was taken for a digest")
	}
	if err := host.Store(m, digest("right"), strings.NewReader("right")); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{digest("other")}, host.Missing(m, []string{digest("right"), digest("other")})); diff != "" {
		t.Error(diff)
	}
	left, _ := filepath.Glob(filepath.Join(m.Root, "var/lib/jeroboam/blobs/sha256/new-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A machine that lost power has names whose files are not whole: they are brought again, not believed.
func TestStoreBelievesNoNames(t *testing.T) {
	m, _ := machine(t, nil)
	for _, text := range []string{"whole", "torn"} {
		if err := host.Store(m, digest(text), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, m, host.BlobPath(digest("torn")), "to")
	if diff := cmp.Diff([]string{digest("torn")}, host.Missing(m, []string{digest("whole"), digest("torn")})); diff != "" {
		t.Error(diff)
	}
	if err := host.Store(m, digest("torn"), strings.NewReader("torn")); err != nil {
		t.Fatal(err)
	}
	if got := host.Missing(m, []string{digest("torn")}); len(got) != 0 {
		t.Errorf("after it came again: %v", got)
	}
}

// Others read whole directories, hidden files among them: nothing of ours is there before it is whole, and what killed
// runs have left there goes.
func TestNothingUnfinishedIsAmongFragments(t *testing.T) {
	owner(t)
	m, _ := machine(t, nil)
	put(t, m, "/etc/haproxy/conf.d/.k8s.jeroboam-123", "half a frag")
	put(t, m, "/etc/haproxy/.k8s.jeroboam-456", "half a")
	put(t, m, "/etc/haproxy/conf.d/k8s", "old")
	pipe := filepath.Join(m.Root, host.BlobPath(digest("fragment")))
	if err := os.MkdirAll(filepath.Dir(pipe), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		done <- host.Ensure(t.Context(), m, []host.Item{{File: &host.File{Path: "/etc/haproxy/conf.d/k8s", Blob: digest("fragment"), Temporary: "/etc/haproxy"}}}, func(host.Event) {})
	}()
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("frag"); err != nil {
		t.Fatal(err)
	}
	for range 200 { // until it has begun to write
		if found, _ := filepath.Glob(filepath.Join(m.Root, "etc/haproxy/.k8s.jeroboam-*")); len(found) == 1 && !strings.HasSuffix(found[0], "456") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	among := func() []string {
		var out []string
		entries, _ := os.ReadDir(filepath.Join(m.Root, "etc/haproxy/conf.d"))
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	if diff := cmp.Diff([]string{"k8s"}, among()); diff != "" {
		t.Errorf("while it is written: %s", diff)
	}
	_, _ = w.WriteString("ment")
	if err := errors.Join(w.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(m.Root, "etc/haproxy/conf.d/k8s"))
	if left, _ := filepath.Glob(filepath.Join(m.Root, "etc/haproxy/.*")); err != nil || string(text) != "fragment" || len(left) > 0 || len(among()) != 1 {
		t.Errorf("it is %q, %v; left: %v", text, err, left)
	}
}

func TestHAProxyChecksBeforeItReplaces(t *testing.T) {
	owner(t)
	answers := map[string]string{
		"systemctl show": "LoadState=loaded\nActiveState=active\nMainPID=0\n", "systemctl reload-or-restart": "", "haproxy -c": "",
	}
	m, ran := machine(t, answers)
	put(t, m, "/etc/haproxy/conf.d/00-haproxy", "global\n")
	put(t, m, "/etc/haproxy/conf.d/k8s", "frontend k8s-front-1")
	put(t, m, "/etc/haproxy/conf.d/glance", "frontend glance\n")
	put(t, m, "/etc/haproxy/conf.d/.k8s.jeroboam-123", "half a frag") // of a run that was killed
	put(t, m, "/etc/haproxy/haproxy.cfg", "old\n")
	i := host.Item{HAProxy: &host.HAProxy{Fragments: "/etc/haproxy/conf.d", Config: "/etc/haproxy/haproxy.cfg", Unit: "haproxy.service"}}

	delete(answers, "haproxy -c")
	if err := host.Ensure(t.Context(), m, []host.Item{i}, func(host.Event) {}); err == nil {
		t.Fatal("a configuration that haproxy refuses was taken")
	}
	if b, _ := os.ReadFile(filepath.Join(m.Root, "etc/haproxy/haproxy.cfg")); string(b) != "old\n" {
		t.Errorf("the running configuration became %q", b)
	}
	answers["haproxy -c"] = ""
	*ran = nil
	if err := host.Ensure(t.Context(), m, []host.Item{i}, func(host.Event) {}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(filepath.Join(m.Root, "etc/haproxy/haproxy.cfg"))
	if diff := cmp.Diff("global\nfrontend glance\nfrontend k8s-front-1\n", string(b)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(m.Root, "etc/haproxy/conf.d/.k8s.jeroboam-123")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a killed run left is still there")
	}
	if got := (*ran)[len(*ran)-1]; got != "systemctl reload-or-restart haproxy.service" {
		t.Errorf("last it ran %q", got)
	}
}

// haproxy.cfg is everybody's: what others have changed is in the plan, without passwords, and told apart from what is
// ours.
func TestHAProxyShowsWhatOthersChanged(t *testing.T) {
	const (
		head   = "global\n  maxconn 4096\nlisten stats\n  stats auth admin:hunter2\nuserlist u\n  user x insecure-password hunter2\n"
		glance = "frontend glance-front-1\n  bind 1.2.3.4:9292\n"
		k8s    = "frontend k8s-front-1\n  bind 1.2.3.4:6443\nbackend k8s-back\n  server a 1.2.3.5:6443\n"
	)
	for _, tt := range []struct {
		reason, config, k8s, glance string
		others                      bool
		shows                       []string
	}{
		{reason: "as the fragments say", config: head + glance + k8s, k8s: k8s, glance: glance},
		{reason: "ours was written by a run that was killed", config: head + glance + k8s, k8s: k8s + "  server b 1.2.3.6:6443\n", glance: glance, shows: []string{"+  server b 1.2.3.6:6443"}},
		{reason: "ours is not there yet", config: head + glance, k8s: k8s, glance: glance, shows: []string{"+backend k8s-back"}},
		{reason: "another's fragment is newer", config: head + glance + k8s, k8s: k8s, glance: glance + "  timeout client 5m\n", others: true, shows: []string{"+  timeout client 5m"}},
		{reason: "somebody has edited the file by hand", config: strings.Replace(head, "4096", "9999", 1) + glance + k8s, k8s: k8s, glance: glance, others: true, shows: []string{"-  maxconn 9999", "+  maxconn 4096"}},
		{reason: "another password is a difference and not shown", config: strings.ReplaceAll(head, "hunter2", "hunter1") + glance + k8s, k8s: k8s, glance: glance, others: true, shows: []string{"assembled no -> yes"}},
		{reason: "comments are nobody's change", config: "# Ansible managed\n\n" + head + glance + k8s, k8s: k8s, glance: glance, shows: []string{"-# Ansible managed"}},
		{reason: "there is no configuration yet", config: "", k8s: k8s, glance: glance, shows: []string{"+global"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m, _ := machine(t, map[string]string{"systemctl show": "LoadState=loaded\nActiveState=active\nMainPID=0\n"})
			put(t, m, "/etc/haproxy/conf.d/00-haproxy", head)
			put(t, m, "/etc/haproxy/conf.d/glance", tt.glance)
			put(t, m, "/etc/haproxy/conf.d/k8s", tt.k8s)
			put(t, m, "/etc/haproxy/haproxy.cfg", tt.config)
			i := host.Item{HAProxy: &host.HAProxy{Fragments: "/etc/haproxy/conf.d", Config: "/etc/haproxy/haproxy.cfg", Unit: "haproxy.service", Services: []string{"k8s"}}}
			have, err := host.Observe(t.Context(), m, []host.Item{i})
			if err != nil {
				t.Fatal(err)
			}
			have[0]["current"] = "yes" // no process is looked at here
			if got := have[0]["others"] == "differ"; got != tt.others {
				t.Errorf("others have changed something: %v", got)
			}
			text := ""
			if c := i.Diff(have[0]); c != nil {
				text = c.Summary + "\n" + c.Diff
			}
			for _, part := range tt.shows {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in\n%s", part, text)
				}
			}
			if len(tt.shows) == 0 && text != "" || strings.Contains(text, "hunter") {
				t.Errorf("it shows\n%s", text)
			}
		})
	}
}

func TestContainerConfigKeepsWhatOthersWrote(t *testing.T) {
	c := &host.Container{
		Name: "c", Base: []string{"lxc.uts.name = c"}, Single: []string{"lxc.mount.auto"},
		Lines: []string{"lxc.mount.auto = proc:rw sys:rw", "lxc.apparmor.profile = unconfined", "lxc.cap.drop ="},
	}
	have := "# OpenStack-Ansible's\nlxc.apparmor.profile=unconfined\nlxc.mount.auto = proc:mixed sys:ro cgroup:mixed\nlxc.start.auto = 1\nraw.lxc = \"x\"\n"
	i := host.Item{Container: c}
	thing := i.Thing(plan.Facts{"config": have})
	want := "# OpenStack-Ansible's\nlxc.apparmor.profile=unconfined\nlxc.mount.auto = proc:rw sys:rw\nlxc.start.auto = 1\nraw.lxc = \"x\"\nlxc.cap.drop =\n"
	if diff := cmp.Diff(want, thing.Want["config"]); diff != "" {
		t.Error(diff)
	}
	again := i.Thing(plan.Facts{"config": want})
	if diff := cmp.Diff(want, again.Want["config"]); diff != "" {
		t.Errorf("a second time changes again: %s", diff)
	}
}

// lxc_container_allow_restarts: false is a promise: a new configuration is written, and waits for the operator.
func TestContainerIsNotRestartedAgainstTheOperatorsWord(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		keep    bool
		stops   bool
		current string // wanted of a container whose configuration is newer than it
	}{
		{"restarts are allowed", false, true, "yes"},
		{"they are not", true, false, ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m, ran := machine(t, map[string]string{"lxc-info": "17\n", "lxc-attach": "running\n", "lxc-st": ""})
			put(t, m, "/var/lib/lxc/c/config", "lxc.uts.name = c\n")
			put(t, m, "/var/lib/lxc/c/rootfs/etc/hostname", "c\n")
			put(t, m, "/proc/stat", "btime 1000\n")
			put(t, m, "/proc/17/stat", "17 (init) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 100 0 0\n")
			i := host.Item{Container: &host.Container{Name: "c", Lines: []string{"lxc.apparmor.profile = unconfined"}, NoRestarts: tt.keep}}
			if err := host.Ensure(t.Context(), m, []host.Item{i}, func(host.Event) {}); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(m.Root, "/var/lib/lxc/c/config"))
			if err != nil || !strings.Contains(string(text), "lxc.apparmor.profile = unconfined") {
				t.Errorf("the configuration is %q, %v", text, err)
			}
			if stops := slices.ContainsFunc(*ran, func(c string) bool { return strings.HasPrefix(c, "lxc-stop") }); stops != tt.stops {
				t.Errorf("it is stopped: %v: %q", stops, *ran)
			}
			have, err := host.Observe(t.Context(), m, []host.Item{i})
			if err != nil || have[0]["current"] != "no" {
				t.Fatalf("the test's container is %v, %v", have, err)
			}
			if got := i.Thing(have[0]).Want["current"]; got != tt.current {
				t.Errorf("wanted current %q", got)
			}
		})
	}
}

func TestSysctlAtLeast(t *testing.T) {
	for _, tt := range []struct {
		reason, have string
		atLeast      bool
		change       bool
	}{
		{"lower is raised", "100", true, true},
		{"higher is good enough", "9000", true, false},
		{"higher is a difference where the value is exact", "9000", false, true},
		{"equal is equal", "8192", false, false},
	} {
		i := host.Item{Sysctl: &host.Sysctl{Key: "fs.x", Value: "8192", AtLeast: tt.atLeast}}
		if got := i.Diff(plan.Facts{"value": tt.have}) != nil; got != tt.change {
			t.Errorf("%s: a change: %v", tt.reason, got)
		}
	}
}

// conversation runs an agent and gives its answers by request.
func conversation(t *testing.T, m *host.Machine, requests ...host.Request) map[int64]host.Reply {
	t.Helper()
	var in, out bytes.Buffer
	for _, r := range requests {
		if err := json.NewEncoder(&in).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := host.Serve(t.Context(), m, &in, &out); err != nil {
		t.Fatal(err)
	}
	answers := map[int64]host.Reply{}
	dec := json.NewDecoder(&out)
	for {
		var r host.Reply
		if err := dec.Decode(&r); err == io.EOF {
			return answers
		} else if err != nil {
			t.Fatal(err)
		}
		if r.Event == nil {
			answers[r.ID] = r
		}
	}
}

func TestAgentAnswersEveryRequest(t *testing.T) {
	m, _ := machine(t, map[string]string{"echo": "hello"})
	if err := os.MkdirAll(filepath.Join(m.Root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := conversation(
		t, m,
		host.Request{ID: 1, Op: host.OpRun, In: json.RawMessage(`{"args":["echo"]}`)},
		host.Request{ID: 2, Op: "nonsense"},
		host.Request{ID: 3, Op: host.OpObserve, In: json.RawMessage(`[{"place":"x"}]`)},
		host.Request{ID: 4, Op: host.OpObserve, In: json.RawMessage(`"no list"`)},
		host.Request{ID: 5, Op: host.OpRead, In: json.RawMessage(`"/nowhere"`)},
	)
	if len(got) != 5 {
		t.Fatalf("%d answers to 5 requests", len(got))
	}
	if got[1].Error != "" || !strings.Contains(string(got[1].Out), "hello") {
		t.Errorf("run: %+v", got[1])
	}
	for id := int64(2); id <= 5; id++ {
		if got[id].Error == "" {
			t.Errorf("request %d has no error", id)
		}
	}
}

func FuzzAgent(f *testing.F) {
	f.Add(`{"id":1,"op":"observe","in":[{"file":{"path":"/etc/passwd"}}]}`)
	f.Add(`{"id":1,"op":"missing","in":["sha256:x"]}`)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "node") || strings.Contains(line, "answers") || strings.Contains(line, "container") {
			t.Skip("goes to the network")
		}
		m := &host.Machine{Root: t.TempDir(), Now: time.Now, Exec: func(context.Context, host.Command) (host.Output, error) {
			return host.Output{}, nil
		}}
		_ = host.Serve(t.Context(), m, strings.NewReader(line+"\n"), io.Discard) // must not panic
	})
}
