package image

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// pullScript runs in a node's root file system: its containerd with an empty store, and each image of the list by
// crictl.
const pullScript = `set -eu
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs store /var/lib/containerd
mount -t cgroup2 cgroup /sys/fs/cgroup
containerd > /run/log 2>&1 &
pid=$!
i=0
until crictl version > /dev/null 2>&1; do
	i=$((i + 1))
	[ $i -lt 600 ] || { tail -n 20 /run/log; exit 1; }
	sleep 0.1
done
test "$(crictl images -q | wc -l)" = 0
while read -r image; do crictl pull "$image" > /run/pull 2>&1 && echo "pulled $image" || { echo "failed $image"; tail -n 2 /run/pull; }; done < /images
kill $pid
`

// TestPullsFromBundle is the procedure of docs/bundle.md for workload clusters with a local registry, with the
// containerd of a node: "bundle serve" below magnum/, its certificate trusted by a file that an overlay brings, and
// every image that a workload cluster can ask for. It needs root, BUNDLE=DIR and NODE=FILE, an image of the kind
// container.
func TestPullsFromBundle(t *testing.T) {
	node, dir, program := os.Getenv("NODE"), os.Getenv("BUNDLE"), os.Getenv("JEROBOAM")
	if node == "" || dir == "" || program == "" {
		t.Fatal("NODE, BUNDLE and JEROBOAM have to be set: make e2e-registry does")
	}
	work := t.TempDir()
	ca := filepath.Join(work, "ca.crt")
	address := serve(t, program, dir, ca)
	root := mountNode(t, node, work)
	certs := filepath.Join(root, "etc/containerd/certs.d", address)
	if err := os.MkdirAll(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	tool(t, "cp", ca, certs)
	hosts := "server = \"https://" + address + "\"\n[host.\"https://" + address + "\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"/etc/containerd/certs.d/" +
		address + "/ca.crt\"\n"
	want := mirrored(t, program, dir, address+"/magnum")
	nothing := address + "/magnum/nothing:v1"
	for name, text := range map[string]string{
		"hosts.toml": hosts, "../../../../images": strings.Join(append(want, nothing), "\n") + "\n", "../../../../pull.sh": pullScript,
	} {
		if err := os.WriteFile(filepath.Join(certs, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--ipc", "--cgroup", "--fork", "--kill-child", "--propagation", "private",
		"chroot", root, "/bin/sh", "/pull.sh").CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, image := range want {
		if !strings.Contains(string(out), "pulled "+image+"\n") {
			t.Errorf("%s was not pulled", image)
		}
	}
	if !strings.Contains(string(out), "failed "+nothing+"\n") || !strings.Contains(string(out), "not found") {
		t.Error("an image that is not there was pulled, or it was not said why not")
	}
	if t.Failed() {
		t.Log(string(out))
	}
}

// serve starts "bundle serve" and returns its address.
func serve(t *testing.T, program, dir, ca string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "bundle", "serve", dir, "--listen", "127.0.0.1:0", "--ca-out", ca)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, found := strings.Cut(line, "https://")
	address, _, _ := strings.Cut(rest, "/")
	if err != nil || !found {
		t.Fatalf("bundle serve says %q, %v", line, err)
	}
	return address
}

// mountNode mounts an image's root file system below a layer that takes what is written.
func mountNode(t *testing.T, node, work string) string {
	t.Helper()
	at := func(name string) string { return filepath.Join(work, name) }
	for _, name := range []string{"lower", "upper", "work", "root"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "mount", "-o", "loop,ro", node, at("lower"))
	t.Cleanup(func() { _ = exec.Command("umount", at("lower")).Run() })
	tool(t, "mount", "-t", "overlay", "overlay", "-o", "lowerdir="+at("lower")+",upperdir="+at("upper")+",workdir="+at("work"), at("root"))
	t.Cleanup(func() { _ = exec.Command("umount", at("root")).Run() })
	return at("root")
}

// mirrored are the names of all images below a prefix, as "bundle show" tells an operator.
func mirrored(t *testing.T, program, dir, prefix string) []string {
	t.Helper()
	if _, err := bundle.Open(dir, sign.Trust{}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "bundle", "show", dir, "--prefix", prefix, "--output", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Mirror string }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Mirror)
	}
	slices.Sort(names)
	if len(names) < 9 || !slices.Contains(names, prefix+"/pause:3.9") {
		t.Fatalf("the bundle has %q", names)
	}
	return names
}
