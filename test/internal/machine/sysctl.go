package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Shield is the global sysctls that a Kubernetes host writes, with the value a fresh host has. Containers of one kernel
// share them, so without the shield hosts would change the machine: kubelet did, in a trial.
func Shield() map[string]string {
	return map[string]string{
		"kernel/panic":                     "0",
		"kernel/panic_on_oops":             "0",
		"kernel/pid_max":                   "4194304",
		"kernel/keys/root_maxkeys":         "1000000",
		"kernel/keys/root_maxbytes":        "25000000",
		"kernel/timer_migration":           "1", // Cilium writes this one and the next, which the kernel never takes back
		"kernel/unprivileged_bpf_disabled": "2",
		"vm/overcommit_memory":             "0",
		"vm/panic_on_oom":                  "0",
		"vm/swappiness":                    "60",
		"vm/max_map_count":                 "65530",
		"fs/inotify/max_queued_events":     "16384",
		"fs/inotify/max_user_instances":    "128",
		"fs/inotify/max_user_watches":      "192536",
		"net/netfilter/nf_conntrack_max":   "262144",
	}
}

// ShieldDir is where a host's own values stand in its root file system.
const ShieldDir = "etc/lab-sysctl"

// ShieldFiles are the small files that cover the machine's sysctls, by their path in the host's root file system.
func ShieldFiles() map[string]string {
	files := map[string]string{}
	for name, value := range Shield() {
		files[shieldFile(name)] = value + "\n"
	}
	return files
}

func shieldFile(name string) string { return ShieldDir + "/" + strings.ReplaceAll(name, "/", ".") }

// ShieldMounts are the lines of an LXC container's configuration that put the files below root over the sysctls this
// kernel has.
func ShieldMounts(root string) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(Shield())) {
		if _, err := os.Stat(filepath.Join("/proc/sys", name)); err == nil {
			lines = append(lines, fmt.Sprintf("lxc.mount.entry = %s/%s proc/sys/%s none bind 0 0", root, shieldFile(name), name))
		}
	}
	return lines
}

// Sysctls is the file with the machine's own values. They are written down before hosts start and compared afterwards:
// the shield is trusted, and checked.
type Sysctls struct{ File string }

// remembered is what stands in the file.
type remembered struct {
	Before map[string]string `json:"before"`
	Raised map[string]string `json:"raised,omitempty"` // on purpose, while the hosts are there
}

func machineSysctls() map[string]string {
	values := map[string]string{}
	for name := range Shield() {
		if text, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			values[name] = strings.TrimSpace(string(text))
		}
	}
	return values
}

// Remember writes down what the values are.
func (s Sysctls) Remember() error { return s.write(remembered{Before: machineSysctls()}) }

func (s Sysctls) write(r remembered) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.File, text, 0o644)
}

func (s Sysctls) read() (remembered, error) {
	var r remembered
	text, err := os.ReadFile(s.File)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// Raise sets one of the remembered values to at least a number, until Restore. It is written down first.
func (s Sysctls) Raise(name string, least int) error {
	r, err := s.read()
	if err != nil {
		return err
	}
	now, err := strconv.Atoi(r.Before[name])
	if err != nil || now >= least {
		return err
	}
	r.Raised = map[string]string{name: strconv.Itoa(least)}
	if err := s.write(r); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(r.Raised[name]), 0)
}

// differences are values that are others now than they were left.
func differences(r remembered, now map[string]string) []string {
	var changed []string
	for name, value := range now {
		want, ok := r.Raised[name]
		if !ok {
			want, ok = r.Before[name]
		}
		if ok && value != want {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// Check is an error when a value was changed by somebody else.
func (s Sysctls) Check() error {
	r, err := s.read()
	if err != nil {
		return err
	}
	if changed := differences(r, machineSysctls()); len(changed) > 0 {
		return fmt.Errorf("the machine's %s was changed: a hole in the shield", strings.Join(changed, ", "))
	}
	return nil
}

// Restore puts all values back, and warns of those that somebody else has changed.
func (s Sysctls) Restore(warn io.Writer) error {
	r, err := s.read()
	if err != nil {
		return err
	}
	now := machineSysctls()
	for _, name := range differences(r, now) {
		_, _ = fmt.Fprintf(warn, "%s was changed meanwhile; it is %s again\n", name, r.Before[name]) // a warning
	}
	for name, was := range r.Before {
		if value, there := now[name]; !there || value == was {
			continue
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(was), 0); err != nil {
			return err
		}
	}
	return nil
}
