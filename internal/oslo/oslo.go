// Package oslo reads the configuration files that OpenStack operators already have, such as /etc/magnum/magnum.conf.
//
// The syntax is that of oslo.config, which looks like an INI file but is not quite one:
//
//	[DEFAULT]                   a section; DEFAULT is case sensitive, all others are not
//	host = node-1               "=" or ":", whichever comes first
//	url = http://${host}:9511   $name, ${name}, ${group.name}; "$$" and "\$" are a dollar sign
//	text = one                  an indented line continues the value,
//	    two                     joined with a newline; a blank line or a comment ends it
//	# comment                   only at the very start of a line; "a = b # c" has no comment
//
// Option names are case sensitive. A repeated option keeps its last value, or all of them when it is asked for with
// [Config.Strings]. Later files win over earlier ones, and an environment variable OS_<GROUP>__<OPTION> over all files.
//
// Unlike oslo.config, which stops at the first problem, everything wrong is reported at once: [Read] returns all syntax
// errors, and the getters collect theirs for [Config.Err]. A getter that fails answers its default, so that a program
// reads its whole configuration first and looks at Err once. Options that nobody asked for are in [Config.Unused].
//
// Where the two differ the tests say so; the agreements are held against the original in testdata/oracle.json.
package oslo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Default is the name of the section that holds options without a group.
const Default = "DEFAULT"

// Source is one configuration file. Name stands in messages, so it should be the path the operator knows.
type Source struct {
	Name string
	Data []byte
}

// Option is a place in a configuration file. Group is spelled as in the file.
type Option struct {
	File   string
	Line   int
	Group  string
	Option string
}

// String gives the place the way compilers do.
func (o Option) String() string {
	return fmt.Sprintf("%s:%d: [%s] %s", o.File, o.Line, o.Group, o.Option)
}

// Config is what a set of files and the environment say. It is filled by [Read] and is not safe for concurrent use,
// because getters write down what was asked: read it once at start-up into a struct.
type Config struct {
	values   map[key][]value
	env      map[string]string
	defaults map[key]string
	used     map[key]bool
	problems []error
	reported map[string]bool
	read     int
}

// key names an option; group is normalized.
type key struct{ group, option string }

// value is one appearance of an option. A value from the environment has line 0.
type value struct {
	text  string
	at    Option
	order int // how many were read before it
}

// newKey normalizes the group as oslo.config does: lower case, except exactly DEFAULT. So [default] is an ordinary
// group.
func newKey(group, option string) key {
	switch group {
	case "", Default:
		return key{Default, option}
	}
	return key{strings.ToLower(group), option}
}

// Read parses the sources in order; values of later sources win. The error joins every syntax error of every source.
// The Config is returned in any case and holds what could be understood, so that more can be checked in the same run.
func Read(sources ...Source) (*Config, error) {
	c := &Config{
		values:   make(map[key][]value),
		env:      make(map[string]string),
		defaults: make(map[key]string),
		used:     make(map[key]bool),
		reported: make(map[string]bool),
	}
	var problems []error
	for _, s := range sources {
		p := parser{file: s.Name, add: c.add}
		p.parse(s.Data)
		problems = append(problems, p.problems...)
	}
	return c, errors.Join(problems...)
}

// ReadDir gives the *.conf files directly in fsys in the order oslo.config reads a --config-dir, which is by name.
// Append them to the sources of the files so that they win. dir is the operator's name of the directory, for messages.
func ReadDir(fsys fs.FS, dir string) ([]Source, error) {
	// Not fs.Glob: it hides errors of reading the directory.
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read configuration directory %s: %w", dir, err)
	}
	var (
		sources  []Source
		problems []error
	)
	for _, e := range entries {
		// Python's glob leaves out hidden files, which are mostly an editor's.
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || path.Ext(e.Name()) != ".conf" {
			continue
		}
		data, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			problems = append(problems, fmt.Errorf("read configuration directory %s: %w", dir, err))
			continue
		}
		sources = append(sources, Source{Name: path.Join(dir, e.Name()), Data: data})
	}
	return sources, errors.Join(problems...)
}

// SetEnvironment takes overrides OS_<GROUP>__<OPTION> from environ, which has the form of os.Environ. Group and option
// are upper case in the variable, and the group of plain options is DEFAULT: OS_DEFAULT__DEBUG.
func (c *Config) SetEnvironment(environ []string) {
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "OS_") && strings.Contains(name, "__") {
			c.env[name] = text
		}
	}
}

// SetDefault gives the value that $option means when neither a file nor the environment sets it. oslo.config knows the
// defaults of all registered options; here only those that files refer to are needed, such as state_path.
func (c *Config) SetDefault(group, option, text string) {
	c.defaults[newKey(group, option)] = text
}

// Unused gives the options in the files that no getter and no substitution has asked for, in the order they were read.
// oslo.config ignores such options in silence; a misspelled one is worth a warning.
func (c *Config) Unused() []Option {
	var left []value
	for k, values := range c.values {
		if !c.used[k] {
			left = append(left, values...)
		}
	}
	slices.SortFunc(left, func(a, b value) int { return a.order - b.order })
	unused := make([]Option, len(left))
	for i, v := range left {
		unused[i] = v.at
	}
	return unused
}

func (c *Config) add(v value) {
	k := newKey(v.at.Group, v.at.Option)
	v.order = c.read
	c.read++
	c.values[k] = append(c.values[k], v)
}

// ask is find for someone who uses the answer.
func (c *Config) ask(k key) []value {
	c.used[k] = true
	return c.find(k)
}

// find gives all values of an option: the environment's if there is one, else those of all files in order.
func (c *Config) find(k key) []value {
	name := "OS_" + strings.ToUpper(k.group) + "__" + strings.ToUpper(k.option)
	if text, ok := c.env[name]; ok {
		at := Option{File: "environment variable " + name, Group: k.group, Option: k.option}
		return []value{{text: text, at: at}}
	}
	return c.values[k]
}
