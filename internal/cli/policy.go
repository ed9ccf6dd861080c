package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// PolicyConfig says which files change Magnum's rules. A zero value means none.
type PolicyConfig struct {
	Files    []string // in the order they are read; later ones win
	Settings policy.Settings
}

// policyConfig finds the operator's policy as oslo.policy does: a file or directory that is not an absolute path is
// looked up beside the configuration files, the last one first, then in the places of every OpenStack service. Without
// options these are policy.yaml (else policy.json) and policy.d, which need not exist. What is named must exist:
// oslo.policy goes on without it, and an operator who named a file believes that it is in force.
func policyConfig(o *oslo.Config, configFiles []string) (PolicyConfig, error) {
	const group = "oslo_policy"
	c := PolicyConfig{Settings: policy.Settings{
		OldDefaults: !o.Bool(group, "enforce_new_defaults", true), AnyScope: !o.Bool(group, "enforce_scope", true),
	}}
	var problems []error
	places := policyPlaces(configFiles)
	names := []string{"policy.yaml", "policy.json"}
	named := o.String(group, "policy_file", "")
	if named != "" {
		names = []string{named}
	}
	if file := firstThere(places, names...); file != "" {
		c.Files = append(c.Files, file)
	} else if named != "" {
		problems = append(problems, missingPolicy("policy_file", named, places))
	}
	for _, name := range o.Strings(group, "policy_dirs", []string{"policy.d"}) {
		directory := firstThere(places, name)
		if directory == "" {
			if name != "policy.d" {
				problems = append(problems, missingPolicy("policy_dirs", name, places))
			}
			continue
		}
		files, err := policyDirectory(directory)
		if err != nil {
			problems = append(problems, err)
		}
		c.Files = append(c.Files, files...)
	}
	return c, errors.Join(problems...)
}

// policyPlaces are the directories of oslo.config's find_file for the project magnum.
func policyPlaces(configFiles []string) []string {
	var places []string
	add := func(place string) {
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	for _, file := range slices.Backward(configFiles) {
		if whole, err := filepath.Abs(file); err == nil {
			add(filepath.Dir(whole))
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		add(filepath.Join(home, ".magnum"))
		add(home)
	}
	add("/etc/magnum")
	add("/etc")
	return places
}

func firstThere(places []string, names ...string) string {
	for _, name := range names {
		if filepath.IsAbs(name) {
			places = []string{"/"}
		}
		for _, place := range places {
			path := filepath.Join(place, name)
			if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
				return path // one that cannot be looked at is not passed over: reading it says why
			}
		}
	}
	return ""
}

func missingPolicy(option, name string, places []string) error {
	where := ""
	if !filepath.IsAbs(name) {
		where = ", looked for in " + strings.Join(places, ", ")
	}
	return fmt.Errorf("[oslo_policy] %s: %s does not exist%s; create it or remove the option", option, name, where)
}

// policyDirectory lists the files of a directory in the order of their names, without hidden ones and without what lies
// deeper.
func policyDirectory(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("[oslo_policy] policy_dirs: %w", err)
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(directory, e.Name()))
		}
	}
	return files, nil
}

// readPolicy makes Magnum's rules, changed by the operator's files, and says which rules are in force.
func readPolicy(log *slog.Logger, c PolicyConfig) (*policy.Enforcer, error) {
	sources := make([]policy.Source, 0, len(c.Files))
	for _, file := range c.Files {
		data, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		sources = append(sources, policy.Source{Name: file, Data: data})
	}
	e, err := policy.Load(c.Settings, sources...)
	if err != nil {
		return nil, fmt.Errorf("read policy:\n%w", err)
	}
	for _, w := range e.Warnings() {
		log.Warn("policy file", "warning", w)
	}
	log.Info("policy rules in force", "files", c.Files, "changed", e.Changed(), "enforce_new_defaults", !c.Settings.OldDefaults,
		"enforce_scope", !c.Settings.AnyScope)
	return e, nil
}

// policyInForce is the same in one line for people who ask /readyz.
func policyInForce(e *policy.Enforcer, c PolicyConfig) string {
	text := "policy: Magnum's rules"
	if len(c.Files) > 0 {
		text += fmt.Sprintf(", %s changed by %s", magnum.Count(len(e.Changed()), "rule"), strings.Join(c.Files, ", "))
	}
	if c.Settings.OldDefaults {
		text += ", enforce_new_defaults off"
	}
	if c.Settings.AnyScope {
		text += ", enforce_scope off"
	}
	return text
}
