package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// HAProxy is haproxy's configuration as OpenStack-Ansible keeps it: fragments in a directory, put together in the order
// of their names, checked, and read by the running haproxy. The fragment itself is a File.
type HAProxy struct {
	// Fragments is /etc/haproxy/conf.d, Config is /etc/haproxy/haproxy.cfg.
	Fragments string `json:"fragments"`
	Config    string `json:"config"`
	Unit      string `json:"unit"`
	// Services are ours: what differs in their sections is no change of others.
	Services []string `json:"services,omitempty"`
	// Backends are those whose servers take clients: a run that was killed may have left one drained.
	Backends []string `json:"backends,omitempty"`
}

// thing shows the whole configuration's difference: it is one file of everybody's fragments, and whoever has it read
// puts in force what others have written and not. What the fragments make is known on the host.
func (h *HAProxy) thing(have plan.Facts) plan.Thing {
	t := plan.Thing{
		Kind: "haproxy", Name: h.Config, On: map[string]plan.Action{"current": plan.Restart}, Text: []string{"config"},
		Want: plan.Facts{"assembled": "yes", "active": "yes", "current": "yes", "drained": none, "left": none},
	}
	if text, ok := have["fragments"]; ok {
		t.Want["config"] = text
	}
	return t
}

func (h *HAProxy) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	show, err := m.unitProperties(ctx, h.Unit)
	if err != nil {
		return nil, err
	}
	have := plan.Facts{"assembled": "no", "active": "no", "current": "no", "drained": none, "left": none}
	text, err := h.assemble(m)
	if err != nil {
		return nil, err
	}
	config := m.read(h.Config)
	if text == config {
		have["assembled"] = "yes"
	} else {
		have["config"], have["fragments"] = maskHAProxy(config), maskHAProxy(text)
		if config != "" && othersDiffer(config, text, h.Services) {
			have["others"] = "differ"
		}
	}
	if show["ActiveState"] == "active" {
		have["active"] = "yes"
	}
	if pid, err := strconv.Atoi(show["MainPID"]); err == nil && pid > 0 && h.current(m, pid) {
		have["current"] = "yes"
	}
	if left := h.left(m); len(left) > 0 {
		have["left"] = strings.Join(left, ", ")
	}
	if drained := h.drained(ctx, m); len(drained) > 0 {
		have["drained"] = strings.Join(drained, ", ")
	}
	return have, nil
}

// maskHAProxy hides passwords (haproxy's configuration manual: stats auth, and user in a userlist).
func maskHAProxy(text string) string { return haproxyPassword.ReplaceAllString(text, "${1}********") }

var haproxyPassword = regexp.MustCompile(`(?m)^(\s*(?:stats\s+auth\s+[^:\s]*:|.*\b(?:insecure-)?password\s+))\S+`)

// othersDiffer compares sections that are not of our services, without comments and empty lines.
func othersDiffer(a, b string, services []string) bool {
	return !maps.EqualFunc(sections(a, services), sections(b, services), slices.Equal)
}

// sections are lines by the line that begins their section.
func sections(text string, without []string) map[string][]string {
	out := map[string][]string{}
	head, ours := "", false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
			continue
		case line[0] != ' ' && line[0] != '\t':
			head = strings.Join(words, " ")
			ours = len(words) > 1 && slices.ContainsFunc(without, func(s string) bool {
				return words[1] == s || words[1] == s+"-back" || strings.HasPrefix(words[1], s+"-front-")
			})
		}
		if !ours {
			out[head] = append(out[head], strings.Join(words, " "))
		}
	}
	return out
}

// left are files that runs of older versions, which wrote them there, left among the fragments when they were killed.
// Ansible takes hidden files for fragments too.
func (h *HAProxy) left(m *Machine) []string {
	entries, _ := os.ReadDir(m.path(h.Fragments)) // assemble says that it cannot be read
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && strings.Contains(e.Name(), temporaryMark) {
			out = append(out, e.Name())
		}
	}
	return out
}

// none is the fact that no server is drained.
const none = "none"

// drained are the servers of the backends that get no new connections because somebody told haproxy so; a haproxy that
// does not answer has none.
func (h *HAProxy) drained(ctx context.Context, m *Machine) []string {
	var out []string
	for _, b := range h.Backends {
		text, err := StatsSocket(ctx, m, "show servers state "+b)
		if err != nil {
			return nil
		}
		out = append(out, drainedServers(text)...)
	}
	return out
}

// current says whether the youngest worker is younger than the configuration: a reload replaces workers, the master
// stays.
func (h *HAProxy) current(m *Machine, master int) bool {
	started, ok := m.startedAt(master)
	if !ok {
		return false
	}
	kids := m.read(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	for _, f := range strings.Fields(kids) {
		if pid, err := strconv.Atoi(f); err == nil {
			if at, ok := m.startedAt(pid); ok && at.After(started) {
				started = at
			}
		}
	}
	info, err := os.Stat(m.path(h.Config))
	// The kernel counts a process's start in hundredths of a second.
	return err == nil && !info.ModTime().After(started.Add(tick))
}

// assemble is Ansible's: all files of the directory in the order of their names, a newline between those that lack one.
func (h *HAProxy) assemble(m *Machine) (string, error) {
	dir := m.path(h.Fragments)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("read haproxy's fragments: %w: OpenStack-Ansible's haproxy role has to run on this host first", err)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	var out strings.Builder
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		out.Write(b)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			out.WriteByte('\n')
		}
	}
	return out.String(), nil
}

// ensure reloads haproxy if its configuration is new, and lets clients go to every server again.
func (h *HAProxy) ensure(ctx context.Context, m *Machine) error {
	have, err := h.observe(ctx, m)
	if err != nil {
		return err
	}
	for _, name := range h.left(m) {
		if err := os.Remove(m.path(filepath.Join(h.Fragments, name))); err != nil {
			return err
		}
	}
	if have["assembled"] != "yes" || have["active"] != "yes" || have["current"] != "yes" {
		if err := h.reload(ctx, m); err != nil {
			return err
		}
	}
	for _, server := range h.drained(ctx, m) {
		said, err := StatsSocket(ctx, m, "set server "+server+" state ready")
		if said = strings.TrimSpace(said); err == nil && said != "" {
			err = errors.New(said)
		}
		if err != nil {
			return fmt.Errorf("let clients go to %s again: %w", server, err)
		}
	}
	return nil
}

// reload checks before it replaces, so that a bad fragment leaves the running haproxy as it is.
func (h *HAProxy) reload(ctx context.Context, m *Machine) error {
	text, err := h.assemble(m)
	if err != nil {
		return err
	}
	f := File{Path: h.Config + ".jeroboam-check", Content: text, Mode: 0o640, Owner: h.fileOwner()}
	if err := f.ensure(ctx, m); err != nil {
		return err
	}
	defer func() { _ = os.Remove(m.path(f.Path)) }() // gone already when all went well
	if _, err := m.run(ctx, "haproxy", "-c", "-f", m.path(f.Path)); err != nil {
		return fmt.Errorf("the configuration with our fragment is not valid, the running one stays: %w", err)
	}
	if text != m.read(h.Config) {
		if err := os.Rename(m.path(f.Path), m.path(h.Config)); err != nil {
			return err
		}
	}
	_, err = m.run(ctx, "systemctl", "reload-or-restart", h.Unit)
	return err
}

func (h *HAProxy) fileOwner() string {
	if _, _, err := ids("haproxy:haproxy"); err != nil {
		return ""
	}
	return "haproxy:haproxy"
}
