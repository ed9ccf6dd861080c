package osa

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names that OpenStack-Ansible gives to its files and directories.
const (
	SystemDir     = "/etc/openstack_deploy"
	BaseDir       = "/opt/openstack-ansible/inventory"
	InventoryFile = "openstack_inventory.json"
	userConfig    = "openstack_user_config.yml"
)

// Options say where to read.
type Options struct {
	Config      string // the operator's directory; "" is System
	Environment string // the directory that holds the release's env.d; "" is BaseDir
	Release     string // which release to be; "" is concluded from what is there
	System      string // where files are looked for that Config lacks, as the original does; "" is SystemDir
}

// Source is what an operator's directory says, before an inventory is made of it.
type Source struct {
	Release     Release
	Config      *Map // the user configuration with conf.d, group names as the release has them
	Base        *Map // the release's own environment
	Env         *Map // the environment with the operator's env.d
	Existing    *Map // the inventory that is there, or nil
	Environment string
	Dir         string // where an inventory is, or would be, written
	BaseFiles   int    // how many files the release's environment has
	Findings    Findings

	system string
	merges *merges
}

// Load reads everything. The error is for what could not be read at all; what is wrong with the content is in Findings,
// all of it.
func Load(opts Options) (*Source, error) {
	s := &Source{Environment: opts.Environment, system: opts.System, Config: &Map{}, Base: &Map{}, merges: newMerges()}
	if s.system == "" {
		s.system = SystemDir
	}
	if s.Environment == "" {
		s.Environment = BaseDir
	}
	s.Environment = expandHome(s.Environment)
	if _, err := os.Stat(s.Environment); opts.Environment != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the environment %s is not there: name the release's inventory directory, which holds env.d", s.Environment)
	}
	config := expandHome(opts.Config)
	for _, step := range []func(config string) error{s.readConfig, s.readEnvironment, s.readInventory} {
		if err := step(config); err != nil {
			return nil, err
		}
	}
	var err error
	if s.Release, err = detectRelease(s, opts.Release); err != nil {
		return nil, err
	}
	s.normalise()
	return s, nil
}

func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// candidates are the places where the original looks: the directory that was asked for, then the system's.
func (s *Source) candidates(preferred, name string) []string {
	if preferred == "" {
		return []string{filepath.Join(s.system, name)}
	}
	return []string{filepath.Join(preferred, name), filepath.Join(s.system, name)}
}

// find returns the first candidate that is there. One in the system's directory instead of the asked-for one is legal,
// and rarely meant.
func (s *Source) find(preferred, name string, want func(fs.FileMode) bool) (string, error) {
	for i, path := range s.candidates(preferred, name) {
		info, err := os.Stat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
		if err != nil && errors.Is(err, fs.ErrPermission) {
			return "", fmt.Errorf("look for %s: %w (run as a user who may read it)", name, err)
		}
		if err == nil && want(info.Mode()) {
			if i > 0 && filepath.Clean(preferred) != filepath.Clean(s.system) {
				s.Findings.warn("fallback", Pos{File: path}, "put one into "+preferred+" if you did not intend this",
					"is read because %s has no %s", preferred, name)
			}
			return path, nil
		}
	}
	return "", nil
}

func (s *Source) readConfig(config string) error {
	file, err := s.find(config, userConfig, fs.FileMode.IsRegular)
	if err != nil {
		return err
	}
	if file != "" {
		m, err := s.readMap(file)
		if err != nil {
			return err
		}
		for _, e := range m.Entries() {
			s.Config.Set(e.Key, e.Value, e.Pos)
		}
	}
	dir, err := s.find(config, "conf.d", fs.FileMode.IsDir)
	if err != nil {
		return err
	}
	if dir != "" {
		s.merges.watch(s.Config)
		if _, err := s.mergeDir(s.Config, dir); err != nil {
			return err
		}
		s.merges.report(&s.Findings)
	}
	if s.Config.Len() == 0 && s.Findings.Err() == nil {
		place := s.system
		if config != "" {
			place = config
		}
		s.Findings.refuse("no-config", Pos{File: filepath.Join(place, userConfig)}, "name the operator's directory with --config",
			"there is no user configuration, neither here nor in conf.d nor in %s", s.system)
	}
	return nil
}

func (s *Source) readEnvironment(config string) error {
	dir, err := s.find(s.Environment, "env.d", fs.FileMode.IsDir)
	if err != nil {
		return err
	}
	if dir == "" {
		s.Findings.warn("no-base-environment", Pos{File: filepath.Join(s.Environment, "env.d")}, "name the release's inventory directory with --environment",
			"is not there: only the operator's own env.d is read")
	}
	if dir != "" {
		if s.BaseFiles, err = s.mergeDir(s.Base, dir); err != nil {
			return err
		}
	}
	s.Env, _ = Clone(s.Base).(*Map) // a clone of a map is a map
	own, err := s.find(config, "env.d", fs.FileMode.IsDir)
	if err != nil || own == "" {
		return err
	}
	s.merges.env = own
	_, err = s.mergeDir(s.Env, own)
	s.merges.env = ""
	return err
}

func (s *Source) readInventory(config string) error {
	file, err := s.find(config, InventoryFile, fs.FileMode.IsRegular)
	if err != nil {
		return err
	}
	if file == "" {
		s.Dir, err = s.find(config, "", fs.FileMode.IsDir)
		return err
	}
	s.Dir = filepath.Dir(file)
	text, err := ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the existing inventory: %w", err)
	}
	const fix = "restore it from backup_openstack_inventory.tar; deleting it would give every container a new name and address"
	v, err := ReadJSON(file, text)
	var bad *JSONError
	if errors.As(err, &bad) {
		s.Findings.refuse("inventory-json", bad.Pos, fix, "the existing inventory is not valid JSON: %s", bad.Text)
		return nil
	}
	root, _ := v.(*Map)
	meta, _ := root.Get("_meta").(*Map)
	hosts, ok := meta.Get("hostvars").(*Map)
	if !ok {
		s.Findings.refuse("inventory-json", Pos{File: file, Line: 1}, fix, "the existing inventory has no _meta.hostvars")
		return nil
	}
	for name, vars := range hosts.All() {
		if _, ok := vars.(*Map); !ok {
			s.Findings.refuse("inventory-json", hosts.PosOf(name), fix, "the variables of %v are %s, not a mapping", name, kind(vars))
		}
	}
	s.Existing = root
	return nil
}

// readMap reads a YAML file whose top is a mapping. Nothing, or what Python takes for nothing, is an empty one.
func (s *Source) readMap(file string) (*Map, error) {
	text, err := ReadFile(file)
	if err != nil {
		s.Findings.unreadable(file, err)
		return &Map{Pos: Pos{File: file}}, nil
	}
	v, found := ReadYAML(file, text, YAMLOptions{})
	s.Findings = append(s.Findings, found...)
	m, ok := v.(*Map)
	if !ok && Truth(v) {
		s.Findings.refuse("yaml-top", Pos{File: file, Line: 1}, "write keys and values", "the top of the file is %s, not a mapping", kind(v))
	}
	if m == nil {
		m = &Map{Pos: Pos{File: file}}
	}
	return m, nil
}

// mergeDir merges all YAML files below a directory, in the order the original meets them: files of a directory as the
// file system lists them, then its subdirectories, symbolic links to directories left out.
func (s *Source) mergeDir(into *Map, dir string) (int, error) {
	entries, err := listRaw(dir)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return 0, fmt.Errorf("read %s: %w (run as a user who may read it)", dir, err)
		}
		return 0, fmt.Errorf("read %s: %w", dir, err)
	}
	files := 0
	var below []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			below = append(below, path)
			continue
		}
		if !strings.HasSuffix(e.Name(), ".yml") && !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		m, err := s.readMap(path)
		if err != nil {
			return files, err
		}
		files++
		s.merge(into, m, nil)
	}
	for _, sub := range below {
		n, err := s.mergeDir(into, sub)
		if files += n; err != nil {
			return files, err
		}
	}
	return files, nil
}

// listRaw lists a directory unsorted: the order decides the order of groups in a fresh inventory.
func listRaw(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return f.ReadDir(-1)
}
