package control

import (
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"
)

// kubeconfigKey is where Cluster API keeps a kubeconfig in its Secret (cluster-api: util/secret).
const kubeconfigKey = "value"

// SecretName is the name of a cluster's kubeconfig Secret.
func SecretName(stack string) string { return stack + "-kubeconfig" }

// rewrite gives a kubeconfig's cluster another server and leaves all else. The cluster is the one named like the stack,
// as Cluster API writes it, or else the first. changed is false when there is nothing to do. Errors carry nothing of
// the content.
func rewrite(kubeconfig []byte, stack, server string) (out []byte, changed bool, err error) {
	var file map[string]any
	if err := yaml.Unmarshal(kubeconfig, &file); err != nil {
		return nil, false, errors.New("the kubeconfig is not YAML")
	}
	clusters, _ := file["clusters"].([]any)
	var target map[string]any
	for _, c := range clusters {
		entry, _ := c.(map[string]any)
		inner, _ := entry["cluster"].(map[string]any)
		if inner == nil {
			continue
		}
		if target == nil || entry["name"] == stack {
			target = inner
		}
		if entry["name"] == stack {
			break
		}
	}
	if target == nil {
		return nil, false, fmt.Errorf("the kubeconfig has no cluster %q and no other", stack)
	}
	if target["server"] == server {
		return nil, false, nil
	}
	target["server"] = server
	out, err = yaml.Marshal(file)
	if err != nil {
		return nil, false, errors.New("the kubeconfig cannot be written again")
	}
	return out, true, nil
}
