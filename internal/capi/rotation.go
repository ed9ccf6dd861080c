package capi

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// A rotation replaces an authority of a living cluster. Machines get their authorities when they are made, from the
// Secrets as they are then; so a step of a rotation is: the Secret, then a variable of the class that makes every
// machine another one. docs/decisions/0030 has the whole of it.

const (
	// rotationFile is there so that machines of another step are other machines.
	rotationFile = "/etc/kubernetes/rotation"
	// signerFile is beside kubeadm's own files, which the controller manager's pod mounts.
	signerFile = "/etc/kubernetes/pki/signer.crt"
)

// Rotation is the step of a rotation that a Cluster asks of its machines.
type Rotation struct {
	ControlPlane string
	Signer       string // PEM; empty: ca.crt holds one certificate and signs
	Workers      string
}

type controlPlaneRotation struct {
	Step   string `json:"step"`
	Signer string `json:"signer"`
}

// RotationOf reads what a Cluster asks for.
func RotationOf(live *clusterv1.Cluster) Rotation {
	var cp controlPlaneRotation
	var workers string
	vars := varsByName(live.Spec.Topology.Variables)
	_ = json.Unmarshal(vars[varControlPlaneRotation].Raw, &cp) // absent is none
	_ = json.Unmarshal(vars[varWorkerRotation].Raw, &workers)
	return Rotation{ControlPlane: cp.Step, Signer: cp.Signer, Workers: workers}
}

// Rotatable tells whether a Cluster's class can roll machines for a rotation.
func Rotatable(live *clusterv1.Cluster) bool {
	return live != nil && slices.ContainsFunc(live.Spec.Topology.Variables, func(v clusterv1.ClusterVariable) bool { return v.Name == varWorkerRotation })
}

func (r Rotation) variables() []clusterv1.ClusterVariable {
	return []clusterv1.ClusterVariable{
		{Name: varControlPlaneRotation, Value: raw(controlPlaneRotation{Step: r.ControlPlane, Signer: r.Signer})},
		{Name: varWorkerRotation, Value: raw(r.Workers)},
	}
}

// rotated is what of a rotation's step a Cluster does not ask for yet, as far as its class knows it.
func rotated(live []clusterv1.ClusterVariable, r *Rotation) []clusterv1.ClusterVariable {
	if r == nil {
		return nil
	}
	have := varsByName(live)
	var out []clusterv1.ClusterVariable
	for _, v := range r.variables() {
		if is, known := have[v.Name]; known && !sameJSON(is, v.Value) {
			out = append(out, v)
		}
	}
	return out
}

const rollDoc = "Machines of another step of a rotation are other machines."

func controlPlaneRotationPatch() clusterv1.ClusterClassPatch {
	return patch("controlPlaneRotation", rollDoc, ".controlPlaneRotation.step",
		onControlPlane(addFile(kubeadmPath, rotationFile, "{{ .controlPlaneRotation.step }}\n")))
}

func workerRotationPatch() clusterv1.ClusterClassPatch {
	return patch("workerRotation", rollDoc, ".workerRotation", onWorkers(addFile(specPath, rotationFile, "{{ .workerRotation }}\n")))
}

// trustBoth makes the administrator's kubeconfig of a machine that joins a control plane before kubeadm does, with all
// that ca.crt holds. kubeadm itself takes its first certificate alone (Kubernetes 1.36, cmd/kubeadm/app/util/pkiutil:
// TryLoadCertFromDisk), which is the new authority's from step 2 on, and can then ask nothing of API servers that are
// of step 1. It keeps a kubeconfig that is there. Ignition has kubeadm's configuration in the second file; that of
// kubeadm init names no API server that is there.
const trustBoth = `server=$(sed -n 's/^ *apiServerEndpoint: *//p' /run/kubeadm/kubeadm-join-config.yaml /etc/kubeadm.yml 2>/dev/null | tr -d '"'); ` +
	`if [ -n "$server" ]; then ` +
	`kubeadm init phase kubeconfig admin --kubernetes-version "$(kubeadm version -o short)" --control-plane-endpoint "$server" && ` +
	`sed -i "s|certificate-authority-data:.*|certificate-authority-data: $(base64 -w0 /etc/kubernetes/pki/ca.crt)|" /etc/kubernetes/admin.conf; fi`

// signerPatch: the controller manager refuses to sign with a file of two certificates (Kubernetes 1.36,
// pkg/controller/certificates/signer/ca_provider.go), and does not start.
func signerPatch() clusterv1.ClusterClassPatch {
	return patch("signer", "The certificate that requests are signed with, while two are trusted.", ".controlPlaneRotation.signer", onControlPlane(
		add(kubeadmPath+"/files/-", "path: "+signerFile+"\nowner: root:root\npermissions: \"0644\"\ncontent: {{ toJson .controlPlaneRotation.signer }}\n"),
		addValue(kubeadmPath+"/clusterConfiguration/controllerManager/extraArgs/-", arg("cluster-signing-cert-file", signerFile)),
		addValue(kubeadmPath+"/preKubeadmCommands/-", trustBoth),
	))
}

// ControlPlaneAsks tells whether the control plane's own object asks for a step: until then, what it says of its
// machines is about another one.
func (o Observed) ControlPlaneAsks(step string) bool {
	if o.ControlPlane == nil {
		return false
	}
	for _, f := range o.ControlPlane.Spec.KubeadmConfigSpec.Files {
		if f.Path == rotationFile {
			return f.Content == step+"\n"
		}
	}
	return false
}

// OlderThan counts the machines of a group that were made before a moment.
func (o Observed) OlderThan(g *magnum.NodeGroup, since time.Time) (older, all int) {
	for _, m := range o.GroupMachines(g) {
		all++
		if m.CreationTimestamp.Time.Before(since) {
			older++
		}
	}
	return older, all
}

// PurposeOf says what the key pair of an authority is for that can be rotated. etcd's cannot: the kubeadm control plane
// provider keeps its own client certificate of etcd for a day, whatever becomes of the authority (Cluster API 1.14,
// controlplane/kubeadm/pkg/cluster.go), and could do nothing for the control plane as soon as etcd trusts another one
// alone.
func PurposeOf(a magnum.Authority) (Purpose, bool) {
	p, ok := map[magnum.Authority]Purpose{
		magnum.AuthorityKubernetes: CA, magnum.AuthorityFrontProxy: FrontProxyCA, magnum.AuthorityServiceAccount: ServiceAccount,
	}[a]
	return p, ok
}

// NewKeyPair makes an authority named after the cluster (Magnum 1.14: CN is the cluster's name), or the key for tokens.
func NewKeyPair(random io.Reader, now time.Time, c *magnum.Cluster, p Purpose) (KeyPair, error) {
	if p == ServiceAccount {
		k, err := pki.NewServiceAccountKey(random)
		return KeyPair{Certificate: k.PublicPEM, Key: k.PrivatePEM}, err
	}
	a, err := pki.NewCA(random, now, c.Name)
	return KeyPair{Certificate: a.CertPEM, Key: a.KeyPEM}, err
}

// The steps of a rotation.
const (
	StepTrust   = 1 // both are trusted, the old one signs
	StepReissue = 2 // both are trusted, the new one signs
	StepRetire  = 3 // the old one is trusted no more
)

// PairAt is what the Secret of an authority holds in a step. The first certificate is the one that signs: kubeadm and
// Cluster API read no other for that, and trust all of them (Kubernetes 1.36, Cluster API 1.14).
func PairAt(step int, before, after KeyPair) KeyPair {
	switch step {
	case StepTrust:
		return KeyPair{Certificate: joined(before.Certificate, after.Certificate), Key: before.Key}
	case StepReissue:
		return KeyPair{Certificate: joined(after.Certificate, before.Certificate), Key: after.Key}
	}
	return after
}

func joined(a, b []byte) []byte {
	out := slices.Clone(a)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, b...)
}
