// Package manifests holds the custom resource definitions, webhook configurations and roles of Cluster API's providers,
// and applies them to a management cluster.
//
// The files are made by go generate from the module cache and are not committed; see generated/README.md. Load does
// what the providers' kustomizations would do: contract labels, and webhooks that point at where we serve them. There
// are no conversions: only the stored version of each kind is served.
package manifests

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

//go:generate go run ./generate generated ../../bundle.lock.yaml

//go:embed all:generated
var generated embed.FS

// Addons is the catalogue of what is installed into workload clusters.
func Addons() (fs.FS, error) {
	if _, err := fs.Stat(generated, "generated/addons"); err != nil {
		return nil, errors.New("this binary was built without the catalogue of addons: run go generate ./manifests in allinone/ and build again")
	}
	return fs.Sub(generated, "generated/addons")
}

// Set is what a management cluster gets.
type Set struct {
	CRDs       []*apiextensionsv1.CustomResourceDefinition
	Mutating   []*admissionv1.MutatingWebhookConfiguration
	Validating []*admissionv1.ValidatingWebhookConfiguration
	Roles      []*rbacv1.ClusterRole
	Bindings   []*rbacv1.ClusterRoleBinding
}

// OpenStack is the name of Cluster API's OpenStack provider, and the user that AddOpenStack gives its role to.
const OpenStack = "infrastructure-openstack"

// AddClusterAPI adds core and the kubeadm providers. Their webhooks are served at webhookURL, by a server that ca
// vouches for.
func (s *Set) AddClusterAPI(webhookURL string, ca []byte) error {
	for _, provider := range []string{"core", "bootstrap-kubeadm", "controlplane-kubeadm"} {
		if err := s.addProvider(provider, webhookURL, ca); err != nil {
			return err
		}
	}
	return nil
}

// AddInMemory adds the in-memory infrastructure, which is part of the same process.
func (s *Set) AddInMemory(webhookURL string, ca []byte) error {
	return s.addProvider("infrastructure-dev", webhookURL, ca)
}

// AddOpenStack adds the OpenStack provider, with its role, and the one kind of the OpenStack resource controller that
// it watches. Its webhooks are a process of their own.
func (s *Set) AddOpenStack(webhookURL string, ca []byte) error {
	return s.addProvider(OpenStack, webhookURL, ca)
}

func (s *Set) addProvider(provider, webhookURL string, ca []byte) error {
	name := "generated/" + provider + ".json"
	b, err := fs.ReadFile(generated, name)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this binary was built without Cluster API's manifests: run go generate ./manifests in allinone/ and build again")
	} else if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(b, &objects); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, raw := range objects {
		if err := s.add(raw, provider, webhookURL, ca); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

func (s *Set) add(raw []byte, provider, url string, ca []byte) error {
	var kind struct{ Kind string }
	if err := json.Unmarshal(raw, &kind); err != nil {
		return err
	}
	point := func(cc *admissionv1.WebhookClientConfig) {
		u := url + *cc.Service.Path
		cc.URL, cc.CABundle, cc.Service = &u, ca, nil
	}
	switch kind.Kind {
	case "CustomResourceDefinition":
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := json.Unmarshal(raw, crd); err != nil {
			return err
		}
		s.addDefinition(crd, provider)
	case "MutatingWebhookConfiguration":
		w := &admissionv1.MutatingWebhookConfiguration{}
		if err := json.Unmarshal(raw, w); err != nil {
			return err
		}
		w.Name = "capi-" + provider
		for i := range w.Webhooks {
			point(&w.Webhooks[i].ClientConfig)
		}
		s.Mutating = append(s.Mutating, w)
	case "ValidatingWebhookConfiguration":
		w := &admissionv1.ValidatingWebhookConfiguration{}
		if err := json.Unmarshal(raw, w); err != nil {
			return err
		}
		w.Name = "capi-" + provider
		for i := range w.Webhooks {
			point(&w.Webhooks[i].ClientConfig)
		}
		s.Validating = append(s.Validating, w)
	case "ClusterRole":
		r := &rbacv1.ClusterRole{}
		if err := json.Unmarshal(raw, r); err != nil {
			return err
		}
		s.addRole(r, provider)
	default:
		return fmt.Errorf("unexpected kind %q", kind.Kind)
	}
	return nil
}

// addDefinition adds a definition as go generate left it: with the stored version only.
func (s *Set) addDefinition(crd *apiextensionsv1.CustomResourceDefinition, provider string) {
	switch {
	case provider != OpenStack:
		label(crd, "provider", provider)
		label(crd, "v1beta2", crd.Spec.Versions[0].Name)
	case crd.Spec.Group == "infrastructure.cluster.x-k8s.io":
		label(crd, "provider", provider)
		label(crd, "v1beta1", "v1beta1") // Cluster API's OpenStack provider 0.13: config/crd/kustomization.yaml
	}
	s.CRDs = append(s.CRDs, crd)
}

// addRole gives a provider that is a process of its own what its project says it needs, and no more.
func (s *Set) addRole(r *rbacv1.ClusterRole, provider string) {
	r.Name = "capi-" + provider
	s.Roles = append(s.Roles, r)
	b := &rbacv1.ClusterRoleBinding{
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: provider}},
	}
	b.Name = r.Name
	s.Bindings = append(s.Bindings, b)
}

// AddDir adds the custom resource definitions in the YAML files of a directory.
func (s *Set) AddDir(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	if err != nil {
		return err
	}
	before := len(s.CRDs)
	for _, name := range names {
		if err := s.addFile(name); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	if len(s.CRDs) == before {
		return fmt.Errorf("no custom resource definitions in %s", dir)
	}
	return nil
}

func (s *Set) addFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	for d := utilyaml.NewYAMLOrJSONDecoder(f, 4096); ; {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := d.Decode(crd); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch crd.Kind {
		case "CustomResourceDefinition":
			s.AddCRD(crd)
		case "", "Kustomization":
		default:
			return fmt.Errorf("unexpected kind %q", crd.Kind)
		}
	}
}

// AddCRD adds one definition. A provider's definition as controller-gen writes it has no contract label (the provider's
// kustomization adds it) and Cluster API would not know which version to use; it gets the label of the v1beta1
// contract.
func (s *Set) AddCRD(crd *apiextensionsv1.CustomResourceDefinition) {
	if crd.Spec.Group == "infrastructure.cluster.x-k8s.io" && !hasContract(crd) {
		var served []string
		for _, v := range crd.Spec.Versions {
			if v.Served {
				served = append(served, v.Name)
			}
		}
		label(crd, "v1beta1", strings.Join(served, "_"))
	}
	s.CRDs = append(s.CRDs, crd)
}

func hasContract(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for k := range crd.Labels {
		if strings.HasPrefix(k, labelPrefix+"v1") {
			return true
		}
	}
	return false
}

const labelPrefix = "cluster.x-k8s.io/"

func label(crd *apiextensionsv1.CustomResourceDefinition, name, value string) {
	if crd.Labels == nil {
		crd.Labels = map[string]string{}
	}
	crd.Labels[labelPrefix+name] = value
}
