package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// makeManifests renders Kubernetes objects. They come from module sources in both kinds of build: what upstream
// publishes is rendered from the same files, and only here do images get the names the bundle has.
func (b *builder) makeManifests(ctx context.Context) error {
	for i := range b.lock.Manifests {
		m := &b.lock.Manifests[i]
		if !chosen(m.Group, b.chosen) {
			continue
		}
		if err := b.makeManifest(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func (b *builder) makeManifest(ctx context.Context, m *Manifest) error {
	began := b.Now()
	src, err := b.sources(ctx, b.lock.module(m.Module))
	if err != nil {
		return err
	}
	text, err := b.render(ctx, m, src)
	if err != nil {
		return err
	}
	if text, err = adapt(text, m, b.lock.Images); err != nil {
		return err
	}
	file := filepath.Join(b.Dir, ".manifest")
	defer func() { _ = os.Remove(file) }() // it is in its place
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	digest, size, err := fileDigest(file)
	if err != nil {
		return err
	}
	if err := b.settle("manifest", m.Name, m.Version, "rendered", m.Digest, digest, began, false); err != nil {
		return err
	}
	return b.place(file, IndexFile{Name: m.Name, Kind: "manifest", Version: m.Version, Path: m.Path, Digest: digest, Size: size, Group: m.Group}, 0o644)
}

func (b *builder) render(ctx context.Context, m *Manifest, src string) ([]byte, error) {
	if m.Plain != "" {
		return os.ReadFile(filepath.Join(src, filepath.FromSlash(m.Plain)))
	}
	tool, _, err := b.make(ctx, m.Tool)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "jeroboam-render-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(home) }() // only needed while rendering
	args := []string{"build", filepath.Join(src, filepath.FromSlash(m.Kustomize))}
	if m.Chart != nil {
		if args, err = chartArgs(m.Chart, src, home); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", m.Tool, err, strings.TrimSpace(errOut.String()))
	}
	if m.Chart != nil && m.Chart.Namespace != "" && m.Chart.Namespace != "kube-system" { // which every cluster has
		out = append([]byte("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+m.Chart.Namespace+"\n"), out...)
	}
	return out, nil
}

// chartArgs puts a chart together in a directory of its own: a module's sources may keep its parts apart.
func chartArgs(c *Chart, src, home string) ([]string, error) {
	dir := filepath.Join(home, "chart")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(src, filepath.FromSlash(c.Dir)))); err != nil {
		return nil, err
	}
	if err := exec.Command("chmod", "-R", "u+w", dir).Run(); err != nil { //nolint:noctx // a moment, and the module cache is read-only
		return nil, err
	}
	if c.Templates != "" {
		from := filepath.Join(src, filepath.FromSlash(c.Templates))
		names, err := filepath.Glob(filepath.Join(from, "*.yaml"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := copyFile(name, filepath.Join(dir, "templates", filepath.Base(name)), 0o644); err != nil {
				return nil, err
			}
		}
	}
	if err := chartMetadata(c, src, dir); err != nil {
		return nil, err
	}
	values, err := yaml.Marshal(c.Values)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(home, "values.yaml")
	if err := os.WriteFile(file, values, 0o644); err != nil {
		return nil, err
	}
	args := []string{"template", c.Release, dir, "--namespace", c.Namespace, "--values", file, "--no-hooks"}
	if c.KubeVersion != "" {
		args = append(args, "--kube-version", c.KubeVersion)
	}
	return args, nil
}

func chartMetadata(c *Chart, src, dir string) error {
	if c.Metadata == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(src, filepath.FromSlash(c.Metadata)))
	if err != nil {
		return err
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("%s: %w", c.Metadata, err)
	}
	for key, value := range c.Set {
		fields[key] = value
	}
	if text, err = yaml.Marshal(fields); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "Chart.yaml"), text, 0o644)
}

var (
	reImage      = regexp.MustCompile(`(?m)^(\s*(?:- )?image: )["']?([^\s"']+)["']?[ \t]*$`)
	rePullAlways = regexp.MustCompile(`(?m)^(\s*(?:- )?imagePullPolicy: )Always[ \t]*$`)
	reSubstitute = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?[=-]([^}]*))?\}`)
)

// adapt fills in variables, gives images the names they have in the bundle, and lets nodes use the images they have.
func adapt(text []byte, m *Manifest, images []Image) ([]byte, error) {
	var problems []error
	used := map[string]bool{}
	text = reSubstitute.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := reSubstitute.FindSubmatch(match)
		name := string(parts[1])
		used[name] = true
		if value, ok := m.Variables[name]; ok {
			return []byte(value)
		}
		if !bytes.ContainsAny(match, "=-") {
			problems = append(problems, fmt.Errorf("the sources want a value for ${%s}: add it to variables", name))
		}
		return bytes.Trim(parts[2], `"`)
	})
	for _, name := range slices.Sorted(maps.Keys(m.Variables)) {
		if !used[name] {
			problems = append(problems, fmt.Errorf("the sources have no variable %s", name))
		}
	}
	text = reImage.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := reImage.FindSubmatch(match)
		have := string(parts[2])
		bare, _, _ := strings.Cut(have, "@")
		if i := strings.LastIndexByte(bare, ':'); i > strings.LastIndexByte(bare, '/') {
			bare = bare[:i]
		}
		want, ok := m.Images[bare]
		if !ok {
			want = have
		}
		if !slices.ContainsFunc(images, func(i Image) bool { return i.Reference == want }) {
			problems = append(problems, fmt.Errorf("the sources use the image %s, which the lock does not have", have))
		}
		return append(slices.Clone(parts[1]), want...)
	})
	text = rePullAlways.ReplaceAll(text, []byte("${1}IfNotPresent"))
	return text, errors.Join(problems...)
}
