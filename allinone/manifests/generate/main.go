// generate copies the custom resource definitions and webhook configurations of Cluster API's providers out of the Go
// module cache, as JSON, which is read five times as fast as YAML at every start.
//
// It leaves out what an all-in-one pays for and nobody in it uses:
//
//   - descriptions: more than half of the text, and the API server would build its OpenAPI documents from them.
//   - all versions but the stored one: the API server keeps a watch cache for each served version, and fills those of
//     the older ones by calling the conversion webhook for every change of every object.
//   - machines in Docker.
//   - of the OpenStack resource controller everything but images, the one kind that the OpenStack provider watches.
//
// Beside them goes the catalogue of addons: what Jeroboam installs into workload clusters, as a bundle has it.
//
// The OpenStack provider is not linked, so go.mod does not name it: its version and its sum are the bundle's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(out, lockFile string) error {
	sources := []struct{ provider, module, dir string }{
		{"core", "sigs.k8s.io/cluster-api", "core/config"},
		{"bootstrap-kubeadm", "sigs.k8s.io/cluster-api", "bootstrap/kubeadm/config"},
		{"controlplane-kubeadm", "sigs.k8s.io/cluster-api", "controlplane/kubeadm/config"},
		{"infrastructure-dev", "sigs.k8s.io/cluster-api/test", "infrastructure/docker/config"},
	}
	for _, s := range sources {
		root, err := moduleDir(&bundle.Module{Path: s.module})
		if err != nil {
			return err
		}
		dir := filepath.Join(root, s.dir)
		if err := write(out, s.provider, filepath.Join(dir, "crd", "bases", "*.yaml"), filepath.Join(dir, "webhook", "manifests.yaml")); err != nil {
			return err
		}
	}
	if err := openStack(out, lockFile); err != nil {
		return err
	}
	return addons(filepath.Join(out, "addons"), lockFile)
}

// addons makes the catalogue of what is installed into workload clusters.
func addons(out, lockFile string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find the cache of bundles: %w", err)
	}
	_, err = bundle.Catalogue(context.Background(), bundle.Options{
		LockFile: lockFile, Dir: out, Cache: filepath.Join(cache, "jeroboam", "bundle"), Now: time.Now,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return err
}

// openStack writes the manifests of what is built from the bundle's lock.
func openStack(out, lockFile string) error {
	lock, err := bundle.ReadLock(lockFile)
	if err != nil {
		return err
	}
	dirs := map[string]string{}
	for i := range lock.Modules {
		m := &lock.Modules[i]
		if m.Name != "capo" && m.Name != "orc" {
			continue
		}
		if dirs[m.Name], err = moduleDir(m); err != nil {
			return err
		}
	}
	if len(dirs) != 2 {
		return fmt.Errorf("%s does not have both modules, capo and orc", lockFile)
	}
	config := filepath.Join(dirs["capo"], "config")
	return write(out, "infrastructure-openstack",
		filepath.Join(config, "crd", "bases", "*.yaml"), filepath.Join(config, "webhook", "manifests.yaml"), filepath.Join(config, "rbac", "role.yaml"),
		filepath.Join(dirs["orc"], "config", "crd", "bases", "openstack.k-orc.cloud_images.yaml"))
}

// write puts the objects of all files that match into the file of a provider.
func write(out, provider string, patterns ...string) error {
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s: no such file", p)
		}
		files = append(files, found...)
	}
	objects, err := read(files)
	if err != nil {
		return err
	}
	b, err := json.Marshal(objects)
	if err != nil {
		return fmt.Errorf("encode %s: %w", provider, err)
	}
	return os.WriteFile(filepath.Join(out, provider+".json"), b, 0o644)
}

// moduleDir is where a module lies in the module cache: the version of go.mod where m names none. "go list -m" would be
// silent about one that is not there yet, and on a new machine none is.
func moduleDir(m *bundle.Module) (string, error) {
	name := m.Path
	if m.Version != "" {
		name += "@" + m.Version
	}
	cmd := exec.CommandContext(context.Background(), "go", "mod", "download", "-json", name)
	if m.Private {
		cmd.Env = append(os.Environ(), "GONOSUMDB="+m.Path) // the lock's sum stands in for the database's
	}
	out, err := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil && err == nil {
		err = jsonErr
	}
	if got.Error != "" {
		err = errors.New(got.Error)
	}
	if err == nil && m.Sum != "" && m.Sum != got.Sum {
		err = fmt.Errorf("its sum is %s, and must be %s", got.Sum, m.Sum)
	}
	if err != nil {
		return "", fmt.Errorf("download module %s: %w", name, err)
	}
	return got.Dir, nil
}

func read(files []string) ([]map[string]any, error) {
	var all []map[string]any
	for _, name := range files {
		objects, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func readFile(name string) (all []map[string]any, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	for d := utilyaml.NewYAMLOrJSONDecoder(f, 4096); ; {
		var o map[string]any
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if o == nil {
			continue
		}
		if strings.Contains(filepath.Base(name), "_docker") {
			continue
		}
		if o["kind"] == "CustomResourceDefinition" {
			spec := o["spec"].(map[string]any)
			spec["versions"] = slices.DeleteFunc(spec["versions"].([]any), func(v any) bool { return v.(map[string]any)["storage"] != true })
			strip(spec)
		} else if hooks, ok := o["webhooks"].([]any); ok {
			o["webhooks"] = slices.DeleteFunc(hooks, func(h any) bool { return strings.Contains(fmt.Sprint(h.(map[string]any)["name"]), ".docker") })
		}
		all = append(all, o)
	}
}

// strip drops the descriptions of a schema. A property that is named description is an object, and stays.
func strip(v any) {
	switch t := v.(type) {
	case map[string]any:
		if _, ok := t["description"].(string); ok {
			delete(t, "description")
		}
		for _, x := range t {
			strip(x)
		}
	case []any:
		for _, x := range t {
			strip(x)
		}
	}
}
