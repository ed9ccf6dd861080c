package host

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// NodeQuery asks how far a machine is as a control plane node.
type NodeQuery struct {
	// EtcdMember is the name its etcd member should have.
	EtcdMember string `json:"etcdMember"`
	// Settings asks for the texts that say with which settings everything runs.
	Settings bool `json:"settings,omitempty"`
	// Directory asks for the names of the files in it.
	Directory string `json:"directory,omitempty"`
}

// Node is how far a machine is as a control plane node: what kubeadm left, and what answers.
type Node struct {
	// AdminConf, KubeletConf and EtcdData: what is on disk of /etc/kubernetes/admin.conf, kubelet.conf and
	// /var/lib/etcd/member.
	AdminConf   bool `json:"adminConf"`
	KubeletConf bool `json:"kubeletConf"`
	EtcdData    bool `json:"etcdData"`
	// StaticPods are the control plane's static pods with the tag of their image.
	StaticPods map[string]string `json:"staticPods"`
	// Server is the API server that admin.conf names; CA is the hash of the authority's public key, as kubeadm pins it.
	Server string `json:"server"`
	CA     string `json:"ca"`
	// Ready is what /readyz of the API server on this machine said: "ok", or why not.
	Ready string `json:"ready"`
	// Members is etcd's member list as this machine's etcd tells it; nil if it does not answer. Etcd is its own health.
	Members []EtcdMember `json:"members"`
	Etcd    string       `json:"etcd"`
	// Certificates are all of kubeadm's, with the end of each.
	Certificates []Certificate `json:"certificates"`
	// Settings are the texts of what kubeadm wrote or was given, by path: manifests of static pods, kubelet's
	// configuration and flags, kubeadm's own configuration. What is not there is missing.
	Settings map[string]string `json:"settings,omitempty"`
	// Restoring is the digest of a backup whose restore has begun here and not ended.
	Restoring string `json:"restoring,omitempty"`
	// Files are those of the query's directory, nil if there is none.
	Files []string `json:"files,omitempty"`
}

// Certificate is one file with a certificate in it.
type Certificate struct {
	Path  string    `json:"path"`
	Until time.Time `json:"until"`
	CA    bool      `json:"ca,omitempty"`
}

// Touched says whether kubeadm has begun here.
func (n Node) Touched() bool {
	return n.AdminConf || n.KubeletConf || n.EtcdData || len(n.StaticPods) > 0
}

// Healthy says whether the API server and etcd on this machine serve.
func (n Node) Healthy() bool { return n.Ready == "ok" && n.Etcd == "ok" }

// Member finds this machine's etcd member.
func (n Node) Member(name string) (EtcdMember, bool) {
	i := slices.IndexFunc(n.Members, func(m EtcdMember) bool { return m.Name == name })
	if i < 0 {
		return EtcdMember{}, false
	}
	return n.Members[i], true
}

const kubernetesDir = "/etc/kubernetes"

// Where kubeadm's settings of a node are.
const (
	Manifests = kubernetesDir + "/manifests"
	// AdminConf is the administrator's kubeconfig on a node.
	AdminConf     = kubernetesDir + "/admin.conf"
	KubeadmConfig = kubernetesDir + "/kubeadm.yaml"
	KubeletConfig = "/var/lib/kubelet/config.yaml"
	KubeletFlags  = "/var/lib/kubelet/kubeadm-flags.env"
)

// StaticPods are the names of the control plane's static pods.
func StaticPods() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

var (
	imageTag    = regexp.MustCompile(`(?m)^\s*image:\s*\S+:([^\s:]+)\s*$`)
	serverLine  = regexp.MustCompile(`(?m)^\s*server:\s*(\S+)`)
	clientCert  = regexp.MustCompile(`(?m)^\s*client-certificate-data:\s*(\S+)`)
	clientFiles = []string{"admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"}
)

// LookAtNode looks at this machine.
func LookAtNode(ctx context.Context, m *Machine, q NodeQuery) (Node, error) {
	n := Node{
		AdminConf:   m.exists(AdminConf),
		KubeletConf: m.exists(kubernetesDir + "/kubelet.conf"),
		EtcdData:    m.exists("/var/lib/etcd/member"),
		StaticPods:  map[string]string{},
	}
	for _, name := range StaticPods() {
		if found := imageTag.FindStringSubmatch(m.read(Manifests + "/" + name + ".yaml")); found != nil {
			n.StaticPods[name] = found[1]
		}
	}
	if found := serverLine.FindStringSubmatch(m.read(AdminConf)); found != nil {
		n.Server = found[1]
	}
	n.CA = pki.PublicKeyHash([]byte(m.read(kubernetesDir + "/pki/ca.crt")))
	n.Certificates = certificates(m)
	if q.Settings {
		n.Settings = settings(m)
	}
	n.Restoring = strings.TrimSpace(m.read(RestoreMark))
	if q.Directory != "" {
		n.Files, _ = m.Files(q.Directory) // no directory: no files
	}
	if !n.Touched() {
		return n, nil
	}
	n.Ready = m.readyz(ctx)
	n.Members, n.Etcd = m.etcdHealth(ctx)
	return n, nil
}

// Files are the names of regular files in a directory.
func (m *Machine) Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(m.path(dir))
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			out = append(out, e.Name())
		}
	}
	return out, err
}

func settings(m *Machine) map[string]string {
	out := map[string]string{}
	paths := []string{KubeadmConfig, KubeletConfig, KubeletFlags}
	for _, name := range StaticPods() {
		paths = append(paths, Manifests+"/"+name+".yaml")
	}
	for _, p := range paths {
		if text := m.read(p); text != "" {
			out[p] = text
		}
	}
	return out
}

func (m *Machine) readyz(ctx context.Context) string {
	code, err := Answers(ctx, "https://127.0.0.1:6443/readyz")
	switch {
	case err != nil:
		return err.Error()
	case code == 200:
		return "ok"
	}
	return "answers " + strconv.Itoa(code)
}

// certificates finds every certificate that kubeadm made here.
func certificates(m *Machine) []Certificate {
	var out []Certificate
	for _, dir := range []string{"/pki", "/pki/etcd"} {
		files, _ := filepath.Glob(m.path(kubernetesDir + dir + "/*.crt")) // a fixed pattern
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				continue // what cannot be read is not renewed either; the API server would say so
			}
			out = appendCertificate(out, strings.TrimPrefix(f, m.Root), text)
		}
	}
	for _, name := range clientFiles {
		if found := clientCert.FindStringSubmatch(m.read(kubernetesDir + "/" + name)); found != nil {
			text, _ := base64.StdEncoding.DecodeString(found[1]) // an empty text has no certificate
			out = appendCertificate(out, kubernetesDir+"/"+name, text)
		}
	}
	return out
}

func appendCertificate(to []Certificate, path string, text []byte) []Certificate {
	block, _ := pem.Decode(text)
	if block == nil {
		return to
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return to
	}
	return append(to, Certificate{Path: path, Until: c.NotAfter, CA: c.IsCA})
}
