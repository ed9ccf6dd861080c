// generate copies the custom resource definitions and webhook configurations of Cluster API's providers out of the Go module
// cache, as JSON, which is read five times as fast as YAML at every start.
//
// It leaves out what an all-in-one pays for and nobody in it uses:
//
//   - descriptions: more than half of the text, and the API server would build its OpenAPI documents from them.
//   - all versions but the stored one: the API server keeps a watch cache for each served version, and fills those of the older
//     ones by calling the conversion webhook for every change of every object.
//   - machines in Docker.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	sources := []struct{ provider, module, dir string }{
		{"core", "sigs.k8s.io/cluster-api", "core/config"},
		{"bootstrap-kubeadm", "sigs.k8s.io/cluster-api", "bootstrap/kubeadm/config"},
		{"controlplane-kubeadm", "sigs.k8s.io/cluster-api", "controlplane/kubeadm/config"},
		{"infrastructure-dev", "sigs.k8s.io/cluster-api/test", "infrastructure/docker/config"},
	}
	for _, s := range sources {
		root, err := moduleDir(s.module)
		if err != nil {
			return err
		}
		dir := filepath.Join(root, s.dir)
		files, err := filepath.Glob(filepath.Join(dir, "crd", "bases", "*.yaml"))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("no custom resource definitions in %s", dir)
		}
		objects, err := read(append(files, filepath.Join(dir, "webhook", "manifests.yaml")))
		if err != nil {
			return err
		}
		b, err := json.Marshal(objects)
		if err != nil {
			return fmt.Errorf("encode %s: %w", s.provider, err)
		}
		if err := os.WriteFile(filepath.Join(out, s.provider+".json"), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moduleDir is where a module of go.mod lies in the module cache. "go list -m" would be silent about one that is not there
// yet, and on a new machine none is.
func moduleDir(module string) (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "mod", "download", "-json", module).Output()
	var got struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil && err == nil {
		err = jsonErr
	}
	if got.Error != "" {
		err = errors.New(got.Error)
	}
	if err != nil {
		return "", fmt.Errorf("download module %s: %w", module, err)
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
