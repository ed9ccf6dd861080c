// Package manifests carries what a management cluster must hold before Jeroboam can use it: the custom resource
// definitions of Magnum's records, generated from the types beside this package ("make generate"), and the role that
// says what Jeroboam may do. Whoever prepares a management cluster applies them as its administrator.
package manifests

import "embed"

// FS holds one YAML file for each kind of record, and rbac.yaml.
//
//go:embed *.yaml
var FS embed.FS

// Access is the name of the file with the service account, the role and its binding.
const Access = "rbac.yaml"
