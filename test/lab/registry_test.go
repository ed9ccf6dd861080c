package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// hostsTOML lets containerd ask the bundle's server in place of a registry, as docs/bundle.md says.
const hostsTOML = `server = "https://registry.k8s.io"
[host."https://172.29.236.1:5443"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/bundle-ca.crt"
`

// TestControlPlaneFromRegistry pulls every image of a bundle on a host without a way out, with the bundle's own
// containerd, from "jeroboam bundle serve", and runs one of them.
func TestControlPlaneFromRegistry(t *testing.T) {
	bundle := os.Getenv("JEROBOAM_BUNDLE")
	if bundle == "" || os.Geteuid() != 0 {
		t.Skip("needs root, and a built bundle's directory in JEROBOAM_BUNDLE")
	}
	jeroboam, err := filepath.Abs("../../bin/jeroboam")
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Dir: filepath.Join(t.TempDir(), "lab"), Cache: cacheDir(), Source: "../..", Out: t.Output(), Err: t.Output()}
	t.Cleanup(func() {
		if err := l.Down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := l.Up(t.Context(), 1, false); err != nil {
		t.Fatal(err)
	}
	ca := l.path("ssh", "bundle-ca.crt")
	serve, err := l.holder().Enter(t.Context(), jeroboam, "bundle", "serve", bundle, "--listen", gateway+":5443", "--ca-out", ca)
	if err != nil {
		t.Fatal(err)
	}
	var served bytes.Buffer
	serve.Stdout, serve.Stderr = &served, &served
	serve.Cancel = func() error { return serve.Process.Signal(os.Interrupt) }
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	if err := machine.WaitFor(t.Context(), time.Minute, func() error { _, err := os.Stat(ca); return err }); err != nil {
		t.Fatalf("%v: %s", err, served.String())
	}
	authority, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.CommandContext(t.Context(), jeroboam, "bundle", "show", bundle, "--images").Output()
	if err != nil {
		t.Fatal(err)
	}
	images := strings.Fields(string(list))
	if len(images) < 5 {
		t.Fatalf("the bundle has only the images %q", images)
	}
	script := `set -eu
		mkdir -p /etc/containerd/certs.d/registry.k8s.io /etc/containerd/certs.d/quay.io
		cat > /etc/containerd/certs.d/bundle-ca.crt <<'END'
` + string(authority) + `END
		cat > /etc/containerd/certs.d/registry.k8s.io/hosts.toml <<'END'
` + hostsTOML + `END
		sed 's,registry.k8s.io,quay.io,' /etc/containerd/certs.d/registry.k8s.io/hosts.toml > /etc/containerd/certs.d/quay.io/hosts.toml
		fetch() { curl -sSf --cacert /etc/containerd/certs.d/bundle-ca.crt -o "$2" https://172.29.236.1:5443/$1; chmod +x "$2"; }
		for p in containerd containerd-shim-runc-v2 ctr runc; do fetch files/bin/$p /usr/local/bin/$p; done
		systemd-run --quiet --unit containerd /usr/local/bin/containerd
		for i in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
		for image in ` + strings.Join(images, " ") + `; do
			ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d $image >/dev/null
		done
		ctr -n k8s.io images ls -q
		ctr -n k8s.io run --rm --net-host registry.k8s.io/kube-proxy:$(ctr -n k8s.io images ls -q | sed -n 's,registry.k8s.io/kube-proxy:,,p') try /usr/sbin/nft --version`
	cmd, err := l.ssh(t.Context(), l.Hosts[0], "bash -s")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader(script)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d images pulled in %.0f s", len(images), time.Since(began).Seconds())
	for _, want := range append(images, "nftables v") {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is missing in:\n%s", want, out)
		}
	}
}
