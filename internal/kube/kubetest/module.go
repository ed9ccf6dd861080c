package kubetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// The modules that have the custom resource definitions of Cluster API, in the versions that we ship.
const (
	ClusterAPIModule = "sigs.k8s.io/cluster-api@v1.14.2"
	InMemoryModule   = "sigs.k8s.io/cluster-api/test@v1.14.2" // infrastructure without machines
	OpenStackModule  = "sigs.k8s.io/cluster-api-provider-openstack@v0.13.0"
)

// ModuleDir finds a module (PATH@VERSION) in the module cache, or has go fetch it.
func ModuleDir(ctx context.Context, module string) (string, error) {
	dir, err := os.MkdirTemp("", "module")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module crds\n"), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = dir
	// The OpenStack provider has no entry in the checksum database.
	cmd.Env = slices.Concat(os.Environ(), []string{"GOWORK=off", "GOFLAGS=", "GONOSUMDB=sigs.k8s.io/cluster-api-provider-openstack,github.com/k-orc/*"})
	out, err := cmd.Output()
	var found struct{ Dir, Error string }
	jsonErr := json.Unmarshal(out, &found) // it says why it failed, too
	if found.Error != "" {
		err = errors.New(found.Error)
	}
	if err = cmp.Or(err, jsonErr); err != nil {
		return "", fmt.Errorf("module %s cannot be had through the module proxy: %w", module, err)
	}
	return found.Dir, nil
}
