package osa

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// inventoryINI is the name of the static inventories beside dynamic_inventory.py: the release has one in its tree, the
// operator may have one. openstack-ansible passes all three to every playbook.
const inventoryINI = "inventory.ini"

const (
	maxINIBytes = 16 << 20
	maxINIHosts = 1 << 16 // that ranges such as web[1:9] may stand for
)

// The forms of Ansible's ini plugin (ansible-core 2.14, plugins/inventory/ini.py and parsing/utils/addresses.py).
var (
	iniSection  = regexp.MustCompile(`^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$`)
	iniGroup    = regexp.MustCompile(`^([^:\]\s]+)\s*(?:#.*)?$`)
	iniPort     = regexp.MustCompile(`^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$`)
	iniBrackets = regexp.MustCompile(`^\[(.+)\]:([0-9]+)$`)
	iniLabels   = regexp.MustCompile(`^(?:[\w.:-]|\[[0-9a-zA-Z]+:[0-9a-zA-Z]+(?::[0-9]+)?\])+$`)
)

// readINI reads one static inventory into the hosts and groups that are there. A file that is not there is none:
// Ansible goes on, too. The error names every line that Ansible would not take.
func (m *hostsAndGroups) readINI(path string) error {
	text, err := ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the inventory: %w", err)
	}
	if len(text) > maxINIBytes {
		return fmt.Errorf("%s is larger than %d MiB", path, maxINIBytes>>20)
	}
	return m.parseINI(path, string(text))
}

func (m *hostsAndGroups) parseINI(path, text string) error {
	p := &iniReader{m: m, file: path, pending: map[string]*pendingGroup{}, group: ungrouped, state: "hosts"}
	m.source = path
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		p.line = i + 1
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if !utf8.ValidString(line) {
			p.fail("is not UTF-8")
			continue
		}
		p.read(line)
	}
	p.end()
	return p.broken.err()
}

// iniReader is one file being read.
type iniReader struct {
	m      *hostsAndGroups
	file   string
	line   int
	group  string
	state  string
	broken problems

	pending map[string]*pendingGroup
	waiting []string // the keys of pending, in the order of the file
}

// pendingGroup is a group that was named before it was declared.
type pendingGroup struct {
	line    int
	state   string
	parents []string
}

func (p *iniReader) pos() Pos { return Pos{File: p.file, Line: p.line} }

func (p *iniReader) fail(format string, a ...any) {
	p.broken.add(fmt.Errorf("%s: %s", p.pos(), fmt.Sprintf(format, a...)))
}

func (p *iniReader) read(line string) {
	if s := iniSection.FindStringSubmatch(line); s != nil {
		p.section(s[1], s[2])
		return
	}
	if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
		p.fail("%s is not a section: write [group], [group:vars] or [group:children], without spaces", line)
		return
	}
	switch p.state {
	case "hosts":
		p.hosts(line)
	case "vars":
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			p.fail("a line of [%s:vars] must be name=value, and this is %q", p.group, line)
			return
		}
		p.m.setGroup(p.group, strings.TrimSpace(key), iniValue(strings.TrimSpace(value)), p.pos())
	case "children":
		p.child(line)
	}
}

// section begins a section. [group] and [group:children] declare a group; [group:vars] is for one that is declared
// elsewhere.
func (p *iniReader) section(name, state string) {
	if state == "" {
		state = "hosts"
	}
	if state != "hosts" && state != "vars" && state != "children" {
		p.fail("[%s:%s]: there are only [%s], [%s:vars] and [%s:children]", name, state, name, name, name)
		p.state = "" // what stands below it would be misread
		return
	}
	p.group, p.state = p.m.safeName(name), state
	if !p.m.hasGroup(p.group) {
		if _, known := p.pending[p.group]; state == "vars" && !known {
			p.wait(p.group, &pendingGroup{line: p.line, state: state})
		}
		p.m.addGroup(p.group)
	}
	if waiting, ok := p.pending[p.group]; ok && state != "vars" {
		if waiting.state == "children" {
			p.adopt(p.group)
		} else {
			delete(p.pending, p.group)
		}
	}
}

func (p *iniReader) wait(name string, g *pendingGroup) {
	p.pending[name] = g
	p.waiting = append(p.waiting, name)
}

func (p *iniReader) child(line string) {
	s := iniGroup.FindStringSubmatch(line)
	if s == nil {
		p.fail("a line of [%s:children] must be the name of a group, and this is %q", p.group, line)
		return
	}
	name := s[1]
	switch known, waits := p.pending[name]; {
	case p.m.hasGroup(name):
		p.addChild(p.group, name)
	case waits:
		known.parents = append(known.parents, p.group)
	default:
		p.wait(name, &pendingGroup{line: p.line, state: "children", parents: []string{p.group}})
	}
}

// adopt gives a group that is declared now to the parents that named it before.
func (p *iniReader) adopt(name string) {
	waiting := p.pending[name]
	delete(p.pending, name)
	for _, parent := range waiting.parents {
		p.addChild(parent, name)
		if g, ok := p.pending[parent]; ok && g.state == "children" {
			p.adopt(parent)
		}
	}
}

func (p *iniReader) addChild(parent, child string) {
	if err := p.m.addChild(parent, child); err != nil {
		p.broken.add(fmt.Errorf("%s: %w", p.pos(), err))
	}
}

// end refuses what was named and never declared.
func (p *iniReader) end() {
	for _, name := range p.waiting {
		g, ok := p.pending[name]
		if !ok {
			continue
		}
		p.line = g.line
		if g.state == "vars" {
			p.fail("[%s:vars] is for a group that nothing declares: add the section [%s]", name, name)
		} else {
			p.fail("[%s:children] names the group %s, which nothing declares: add the section [%s]", g.parents[0], name, name)
		}
	}
}

// hosts reads a line such as "web[1:3]:2222 ansible_user=admin".
func (p *iniReader) hosts(line string) {
	words, err := shellWords(line)
	if err != nil {
		p.fail("%v", err)
		return
	}
	if len(words) == 0 {
		return
	}
	names, port, err := hostPattern(words[0])
	if err != nil {
		p.fail("%v", err)
		return
	}
	vars := &Map{}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			p.fail("after a host only name=value may follow, and this is %q", w)
			return
		}
		vars.Set(key, iniValue(value), p.pos())
	}
	for _, name := range names {
		isNew := p.m.addHost(name, p.group)
		if isNew && port != 0 {
			p.m.setHost(name, "ansible_port", port, p.pos())
		}
		for _, e := range vars.Entries() {
			text, _ := e.Key.(string)
			p.m.setHost(name, text, e.Value, e.Pos)
		}
	}
}

// iniValue is a value as Ansible takes it from an INI file.
func iniValue(text string) Value {
	if v, ok := pythonLiteral(text); ok {
		return v
	}
	return text
}

// hostPattern takes the port off, and writes ranges out.
func hostPattern(pattern string) (names []string, port int64, err error) {
	name := pattern
	for _, form := range []*regexp.Regexp{iniBrackets, iniPort} {
		if s := form.FindStringSubmatch(pattern); s != nil && iniLabels.MatchString(s[1]) {
			name = s[1]
			if port, err = strconv.ParseInt(s[2], 10, 32); err != nil {
				return nil, 0, fmt.Errorf("the port of %q is out of range", pattern)
			}
			break
		}
	}
	if strings.HasSuffix(strings.TrimSpace(pattern), ":") && port == 0 {
		return nil, 0, fmt.Errorf("the host %q ends with a colon, which begins a port", pattern)
	}
	names, err = expandRange(name, maxINIHosts)
	for _, n := range names {
		if n == "---" {
			return nil, 0, errors.New("--- begins a YAML file, and this is an INI file")
		}
		if strings.ContainsAny(n, "[]=") { // a host to Ansible, and never meant as one
			return nil, 0, fmt.Errorf("%q is not a host name: a section is [name], and variables of a group go below [name:vars]", n)
		}
	}
	return names, port, err
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// expandRange writes [a:b] and [a:b:step] out: numbers, with as many leading zeros as the first has, or letters.
func expandRange(name string, most int) ([]string, error) {
	open, colon, end := strings.IndexByte(name, '['), strings.IndexByte(name, ':'), strings.IndexByte(name, ']')
	if open < 0 || open > colon || colon > end {
		return []string{name}, nil
	}
	bounds := strings.Split(name[open+1:end], ":")
	if len(bounds) == 2 {
		bounds = append(bounds, "1")
	}
	bad := fmt.Errorf("the range in the host %q is not [first:last] or [first:last:step]", name)
	step, err := strconv.Atoi(bounds[len(bounds)-1])
	if len(bounds) != 3 || err != nil || step < 1 || bounds[1] == "" {
		return nil, bad
	}
	var middle []string
	from, to := strings.Index(letters, bounds[0]), strings.Index(letters, bounds[1])
	if len(bounds[0]) == 1 && len(bounds[1]) == 1 && from >= 0 && to >= 0 {
		for i := from; i <= to; i += step {
			middle = append(middle, letters[i:i+1])
		}
	} else if middle, err = numbers(bounds[0], bounds[1], step, most); err != nil {
		return nil, bad
	}
	if len(middle) == 0 || len(middle) > most {
		return nil, fmt.Errorf("the range in the host %q is empty, or stands for more than %d hosts", name, maxINIHosts)
	}
	var out []string
	for _, m := range middle {
		rest, err := expandRange(name[:open]+m+name[end+1:], most/len(middle))
		if err != nil {
			return nil, err
		}
		out = append(out, rest...)
	}
	return out, nil
}

func numbers(first, last string, step, most int) ([]string, error) {
	if first == "" {
		first = "0"
	}
	width := 0
	if first[0] == '0' && len(first) > 1 {
		if width = len(first); width != len(last) {
			return nil, errors.New("first and last have different lengths")
		}
	}
	from, err := strconv.Atoi(first)
	if err != nil {
		return nil, fmt.Errorf("first: %w", err)
	}
	to, err := strconv.Atoi(last)
	if err != nil {
		return nil, fmt.Errorf("last: %w", err)
	}
	var out []string
	for i := from; i <= to && len(out) <= most; i += step {
		out = append(out, fmt.Sprintf("%0*d", width, i))
	}
	return out, nil
}

// shellWords splits a line as Python's shlex does: quotes hold words together, a backslash takes the next character as
// it is, and # begins a comment.
func shellWords(line string) ([]string, error) {
	var words []string
	var word []byte
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '"' && c == '\\' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\'), quote == 0 && c == '\\' && i+1 < len(line):
			i++
			word, inWord = append(word, line[i]), true
		case quote != 0:
			word = append(word, c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == '\\':
			return nil, errors.New("nothing follows the backslash at the end of the line")
		case c == '#' || strings.IndexByte(" \t\r\n", c) >= 0:
			if inWord {
				words, word, inWord = append(words, string(word)), nil, false
			}
			if c == '#' {
				return words, nil
			}
		default:
			word, inWord = append(word, c), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote (%c) is not closed", quote)
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}
