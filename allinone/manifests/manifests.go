// Package manifests holds the custom resource definitions and webhook configurations of Cluster API's providers, and applies
// them to a management cluster.
//
// The files are made by go generate from the module cache and are not committed; see generated/README.md. Load does what the
// providers' kustomizations would do: contract labels, and webhooks that point at where we serve them. There are no conversions:
// only the stored version of each kind is served.
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
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

//go:generate go run ./generate generated

//go:embed all:generated
var generated embed.FS

// Set is what a management cluster gets.
type Set struct {
	CRDs       []*apiextensionsv1.CustomResourceDefinition
	Mutating   []*admissionv1.MutatingWebhookConfiguration
	Validating []*admissionv1.ValidatingWebhookConfiguration
}

// ClusterAPI reads the embedded manifests. Their webhooks are served at webhookURL, by a server that ca vouches for.
func ClusterAPI(webhookURL string, ca []byte) (*Set, error) {
	names, err := fs.Glob(generated, "generated/*.json")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("this binary was built without Cluster API's manifests: run go generate ./manifests in allinone/ and build again")
	}
	s := &Set{}
	for _, name := range names {
		b, err := fs.ReadFile(generated, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		var objects []json.RawMessage
		if err := json.Unmarshal(b, &objects); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		provider := strings.TrimSuffix(filepath.Base(name), ".json")
		for _, raw := range objects {
			if err := s.add(raw, provider, webhookURL, ca); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	return s, nil
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
		label(crd, "provider", provider)
		label(crd, "v1beta2", crd.Spec.Versions[0].Name)
		s.CRDs = append(s.CRDs, crd)
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
	default:
		return fmt.Errorf("unexpected kind %q", kind.Kind)
	}
	return nil
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
// kustomization adds it) and Cluster API would not know which version to use; it gets the label of the v1beta1 contract.
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
