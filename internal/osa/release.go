package osa

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Release is what the releases of OpenStack-Ansible do differently when they make an inventory.
type Release struct {
	Name string // as it was given or concluded, such as "30.1.5" or "before 32.2"
	From string // where that is known from

	DashesMatter   bool // up to 32: cluster-api_hosts and cluster_api_hosts are two groups, and <host>-host_containers has a dash
	HostAddress    bool // from 32.2: hostvars have physical_host_addr
	DeepReference  bool // from 30: reference_group counts hosts of child groups
	AnyUnderscores bool // from 29.2.1 and 30.0.2: a container with underscores in its name is counted for its component
}

var releaseNumber = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)`)

// ParseRelease knows the differences from a version number.
func ParseRelease(name string) (Release, error) {
	m := releaseNumber.FindStringSubmatch(name)
	if m == nil {
		return Release{}, fmt.Errorf("%q is not a release of OpenStack-Ansible: give three numbers such as 30.1.5 (git -C /opt/openstack-ansible describe --tags shows them)", name)
	}
	var v [3]int
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // the expression lets digits through only; a number too large is a large number
	}
	from := func(major, minor, patch int) bool {
		return v[0] > major || v[0] == major && (v[1] > minor || v[1] == minor && v[2] >= patch)
	}
	if !from(29, 0, 0) {
		return Release{}, errTooOld(name)
	}
	return Release{
		Name:           strings.TrimPrefix(m[0], "v"),
		DashesMatter:   !from(33, 0, 0),
		HostAddress:    from(32, 2, 0),
		DeepReference:  from(30, 0, 0),
		AnyUnderscores: from(30, 0, 2) || from(29, 2, 1) && !from(30, 0, 0),
	}, nil
}

// errTooOld is for releases that named containers with underscores, and would find theirs missing here.
func errTooOld(what string) error {
	return fmt.Errorf("%s is older than OpenStack-Ansible 29 (2024.1), which names containers differently: upgrade it first", what)
}

// detectRelease concludes the release, best witness first: what the caller says, the generator that stands beside the
// environment, a version in the environment's path, and what environment and inventory look like.
func detectRelease(s *Source, given string) (Release, error) {
	if given != "" {
		r, err := ParseRelease(given)
		r.From = "--release"
		return r, err
	}
	dir, err := filepath.Abs(s.Environment)
	if err == nil {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if r, ok, err := releaseOfGenerator(filepath.Join(dir, "..", "osa_toolkit", "generate.py")); ok || err != nil {
			return r, err
		}
		for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
			name := strings.TrimPrefix(filepath.Base(at), "openstack-ansible-")
			if r, err := ParseRelease(name); err == nil {
				r.From = at
				return r, nil
			}
		}
	}
	return releaseOfLooks(s), nil
}

// releaseOfGenerator looks for the names that came with each difference.
func releaseOfGenerator(path string) (Release, bool, error) {
	text, err := ReadFile(path)
	if err != nil {
		return Release{}, false, nil //nolint:nilerr // there is none, and there are other witnesses
	}
	has := func(word string) bool { return strings.Contains(string(text), word) }
	if !has("container_group") {
		return Release{}, false, errTooOld(filepath.Clean(path))
	}
	r := Release{
		From:           filepath.Clean(path),
		DashesMatter:   !has("_normalize_user_config"),
		HostAddress:    has("physical_host_addr"),
		DeepReference:  has("_hosts_in_group"),
		AnyUnderscores: has("container_name.startswith("),
	}
	r.Name = r.span()
	return r, true, nil
}

func (r Release) span() string {
	switch {
	case !r.DashesMatter:
		return "33 or newer"
	case r.HostAddress:
		return "32.2 or newer"
	case r.DeepReference:
		return "30 to 32.1"
	default:
		return "29"
	}
}

// releaseOfLooks goes by the names in the base environment and in the inventory that is there. From 33 on no group of
// the base environment has a dash. What 32.2 added shows in an inventory only.
func releaseOfLooks(s *Source) Release {
	r := Release{DeepReference: true, AnyUnderscores: true, HostAddress: true, From: "the names in environment and inventory"}
	dashes, old := looks(s)
	switch {
	case dashes:
		r.DashesMatter = true
		r.HostAddress = s.Existing != nil && anyHostHas(s.Existing, "physical_host_addr") || s.Existing == nil && old == 32
		r.DeepReference = old != 29
	case s.BaseFiles == 0 && s.Existing == nil:
		r.From = "nothing: the newest is assumed"
	case s.BaseFiles == 0:
		r.HostAddress = anyHostHas(s.Existing, "physical_host_addr")
	}
	r.Name = r.span()
	return r
}

// looks says whether groups are named with dashes, and what the base environment can be told apart by: 29 has no
// load_balancer group, and glance's containers had a size until 31.
func looks(s *Source) (dashes bool, release int) {
	names := s.Base
	if s.BaseFiles == 0 {
		names = s.Existing
	}
	for section, groups := range names.All() {
		if strings.HasSuffix(fmt.Sprint(section), "-host_containers") {
			dashes = true
		}
		m, _ := groups.(*Map)
		for key := range m.All() {
			if name, _ := key.(string); strings.Contains(name, "-") && s.BaseFiles > 0 {
				dashes = true
			}
		}
	}
	glance := at(s.Base, "container_skel", "glance_container", "properties", "container_fs_size")
	switch {
	case s.BaseFiles == 0:
		return dashes, 0
	case at(s.Base, "physical_skel", "load_balancer_hosts") == nil:
		return dashes, 29
	case glance != nil:
		return dashes, 31
	default:
		return dashes, 32
	}
}

func at(m *Map, keys ...string) Value {
	var v Value = m
	for _, k := range keys {
		sub, _ := v.(*Map)
		v = sub.Get(k)
	}
	return v
}

func anyHostHas(root *Map, key string) bool {
	for _, h := range NewInventory(root).Hosts() {
		if h.Vars.Has(key) {
			return true
		}
	}
	return false
}
