// Package sitetest is what tests of the rooms of a deployment share: the intent of the document Jeroboam started from, a small bundle,
// hosts as they should be, agents that say what a test wants them to. For tests only.
package sitetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Now is when everything happens.
func Now() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// Seed is the intent of the document Jeroboam started from, on three hosts. osa is the way to
// the package that has the files.
func Seed(t *testing.T, osa string) intent.Intent {
	t.Helper()
	opts := intent.Options{
		Config: filepath.Join(osa, "testdata/oracle/ha3/deploy"), Environment: filepath.Join(osa, "testdata/base/30.1.5"), System: "testdata/nowhere",
		HostFacts: map[string]map[string]string{},
	}
	in, _, err := intent.Read(opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range in.NeedFacts {
		opts.HostFacts[name] = map[string]string{"hostname": name, "os_family": "Debian", "architecture": "x86_64"}
	}
	in, found, err := intent.Read(opts)
	if err != nil || found.Err() != nil {
		t.Fatal(err, found.Err())
	}
	in.Versions.Kubernetes = "1.36.4"
	return in
}

// Blob is a digest made of a few characters.
func Blob(s string) string { return "sha256:" + strings.Repeat(s, 64/len(s)) }

// Bundle is a small one, of Kubernetes 1.36.4.
func Bundle() site.Bundle {
	return site.Bundle{
		Programs: []site.Program{
			{Name: "containerd", Path: "/usr/bin/containerd", Digest: Blob("a")},
			{Name: "kubeadm", Path: "/usr/bin/kubeadm", Digest: Blob("b")},
			{Name: "kubelet", Path: "/usr/bin/kubelet", Digest: Blob("c")},
		},
		Images: []host.Image{{Ref: "registry.k8s.io/pause:3.10.2", Manifest: Blob("d"), Blobs: []string{Blob("d"), Blob("e")}}},
		RootFS: Blob("f"),
		Components: []site.Component{{Name: "network", Manifest: []byte(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: net, namespace: kube-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: net}
`)}},
		Versions: map[string]string{"kubernetes": "1.36.4", "pause-image": "registry.k8s.io/pause:3.10.2", "etcd-tag": "3.6.16-0", "coredns-tag": "v1.14.0"},
	}
}

// Facts are hosts without containers and without faults.
func Facts(in intent.Intent) map[string]host.Facts {
	out := map[string]host.Facts{}
	for _, h := range in.Hosts {
		out[h.Name] = host.Facts{
			ID: "debian", Version: "12", Kernel: "6.1.0", CgroupV2: true, Root: true, Now: Now(), Free: 100 << 30,
			Programs:   map[string]bool{"lxc-start": true, "lxc-attach": true, "lxc-info": true, "tar": true, "systemctl": true, "haproxy": true},
			Interfaces: map[string][]string{"br-mgmt": {h.ManagementAddress + "/22", in.VIPs.Internal.Address + "/32"}, "lxcbr0": {"10.0.3.1/24"}},
			Containers: map[string]bool{},
		}
	}
	return out
}

// Quiet is a run that nobody watches.
func Quiet(h site.Hosts) site.Run {
	return site.Run{Hosts: h, Report: func(site.Progress) {}, Now: Now}
}

// Only gives the changes as short lines.
func Only(p plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s: %s %s %s", c.Place, c.Action, c.Kind, c.Name))
	}
	return out
}

// Agent is a host's agent that answers as a test says, and remembers what it was asked.
type Agent struct {
	Host   string
	Answer func(container, op string, in json.RawMessage) (any, error)
	Asked  []string
}

// Name is the host's.
func (a *Agent) Name() string { return a.Host }

// Close ends nothing.
func (a *Agent) Close() error { return nil }

// Upload fails.
func (a *Agent) Upload(context.Context, string, io.Reader) error {
	return errors.New("nothing is uploaded")
}

// Dial fails.
func (a *Agent) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nothing is dialled")
}

// Call gives question and answer the form they have between deployer and host.
func (a *Agent) Call(_ context.Context, container, op string, in, out any, _ func(json.RawMessage)) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	a.Asked = append(a.Asked, container+" "+op)
	answer, err := a.Answer(container, op, raw)
	if err != nil || out == nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}
