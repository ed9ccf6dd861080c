package intent

import (
	_ "embed" // the table of defaults
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

//go:embed defaults.yml
var defaults []byte

// generation concludes for which playbooks the configuration was written, best witness first.
func (r *reader) generation() error {
	for _, witness := range []func() (Generation, Origin, error){r.collection, r.shipped, r.clusterAPIVersion} {
		g, o, err := witness()
		if err != nil {
			return err
		}
		if g != "" {
			r.in.Generation = g
			r.from("generation", o)
			return nil
		}
	}
	r.in.Generation = Seed
	if !r.src.Release.DashesMatter {
		r.in.Generation = InTree
	}
	r.from("generation", Origin{Level: "derived", Why: "the release of OpenStack-Ansible"})
	return nil
}

// collection looks for the branch of vexxhost.kubernetes in the list of collections to install.
func (r *reader) collection() (Generation, Origin, error) {
	file := filepath.Join(r.opts.Config, "user-collection-requirements.yml")
	text, err := osa.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", Origin{}, nil
	}
	if err != nil {
		return "", Origin{}, fmt.Errorf("read the list of collections: %w", err)
	}
	v, found := osa.ReadYAML(file, text, osa.YAMLOptions{})
	r.found = append(r.found, found...)
	top, _ := v.(*osa.Map)
	list, _ := top.Get("collections").(*osa.List)
	for i, item := range list.Items() {
		m, _ := item.(*osa.Map)
		if m.Get("name") != "vexxhost.kubernetes" {
			continue
		}
		o := Origin{Pos: list.PosOf(i), Variable: "collections", Level: "derived", Why: "the branch of vexxhost.kubernetes"}
		if m.Get("version") == "venv-support" {
			return Seed, o, nil
		}
		return Ops, o, nil
	}
	return "", Origin{}, nil
}

// shipped looks for group variables that OpenStack-Ansible brings itself.
func (r *reader) shipped() (Generation, Origin, error) {
	dir := filepath.Join(r.opts.Environment, "group_vars", groupNodes)
	if _, err := os.Stat(dir); err != nil {
		return "", Origin{}, nil //nolint:nilerr // it is not there, and there are other witnesses
	}
	return InTree, Origin{Pos: osa.Pos{File: dir}, Level: "derived", Why: "OpenStack-Ansible ships its own"}, nil
}

// clusterAPIVersion goes by the version of Cluster API that the operator wrote.
func (r *reader) clusterAPIVersion() (Generation, Origin, error) {
	hosts := r.inv.Members(groupNodes)
	if len(hosts) == 0 {
		return "", Origin{}, nil
	}
	vars, err := r.vars.Host(hosts[0])
	if err != nil {
		return "", Origin{}, err
	}
	v, ok := vars.Variable("cluster_api_version")
	if !ok {
		return "", Origin{}, nil
	}
	if v.Err != nil {
		return "", Origin{}, nil //nolint:nilerr // there are other witnesses, and a finding says so later
	}
	text, _ := asText(osa.Reveal(v.Value))
	version, err := parseVersion(text)
	if err != nil {
		return "", Origin{}, nil //nolint:nilerr // there are other witnesses, and a finding says so later
	}
	o := originOf(v)
	o.Level, o.Why = "derived", "the version of Cluster API"
	switch {
	case version.before(1, 10):
		return Seed, o, nil
	case version.before(1, 13):
		return Ops, o, nil
	}
	return InTree, o, nil
}

// roleDefaults is the table for a generation: role by role, the generation's own after those that hold for all.
func roleDefaults(g Generation) (*osa.Map, error) {
	v, found := osa.ReadYAML("", defaults, osa.YAMLOptions{})
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("the table of defaults: %w", err)
	}
	top, _ := v.(*osa.Map)
	out := &osa.Map{}
	for _, set := range []string{"any", string(g)} {
		roles, _ := top.Get(set).(*osa.Map)
		for _, role := range roles.Entries() {
			m, _ := role.Value.(*osa.Map)
			all := &osa.Map{}
			if before, ok := out.Get(role.Key).(*osa.Map); ok {
				all = before.Copy()
			}
			for _, e := range m.Entries() {
				all.Set(e.Key, e.Value, osa.Pos{})
			}
			out.Delete(role.Key) // the generation's come last, and win
			out.Set(role.Key, all, osa.Pos{})
		}
	}
	return out, nil
}
