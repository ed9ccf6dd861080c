package magnum

import (
	"github.com/jeroboam-cloud/jeroboam/internal/crd/manifests"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// Component is what the management cluster must hold for Jeroboam's server: the records' definitions, and what the
// server may do.
func Component() (site.Component, error) {
	names, err := manifests.FS.ReadDir(".")
	if err != nil {
		return site.Component{}, err
	}
	text := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + v1alpha1.Namespace + "\n"
	for _, n := range names {
		b, err := manifests.FS.ReadFile(n.Name())
		if err != nil {
			return site.Component{}, err
		}
		text += "---\n" + string(b)
	}
	return site.Component{Name: Group, Manifest: []byte(text)}, nil
}
