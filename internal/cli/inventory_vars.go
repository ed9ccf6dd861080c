package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

type inventoryVarsCommand struct {
	Host  string   `arg:"" help:"A host or container of the inventory."`
	Names []string `arg:"" optional:"" name:"name" help:"Variables to print; otherwise all that files and the inventory define."`

	Config            string   `env:"OSA_CONFIG_DIR" default:"/etc/openstack_deploy" placeholder:"DIR" help:"The operator's directory."`
	Environment       string   `short:"e" default:"/opt/openstack-ansible/inventory" placeholder:"DIR" help:"OpenStack-Ansible's inventory directory: env.d, group_vars, host_vars."`
	Release           string   `placeholder:"X.Y.Z" help:"The OpenStack-Ansible release to imitate; otherwise detected from the environment."`
	Facts             string   `placeholder:"DIR" help:"Ansible's fact cache (ansible_facts in the operator's directory)."`
	VaultPasswordFile []string `env:"ANSIBLE_VAULT_PASSWORD_FILE" sep:"none" placeholder:"[ID@]FILE" help:"A file with a password of ansible-vault; may be given several times."`
	Types             string   `enum:"auto,native,text" default:"auto" help:"Types of templates: native (ansible-core 2.19 and later), text (before), or auto: by release."`
	Why               bool     `help:"Show the file and line of each value, and what it overrides."`
	ShowSecrets       bool     `help:"Print secrets in plain text."`
	Output            string   `enum:"text,json" default:"text" help:"text or json."`
}

// Run prints variables of one host.
func (c *inventoryVarsCommand) Run(streams Streams) error {
	passwords, err := vaultPasswords(c.VaultPasswordFile)
	if err != nil {
		return err
	}
	src, err := osa.Load(osa.Options{Config: c.Config, Environment: c.Environment, Release: c.Release})
	if err != nil {
		return err
	}
	res, err := osa.Generate(src, osa.NewDraw())
	if err != nil {
		return err
	}
	all, err := osa.LoadVars(res.Inventory, osa.VarsOptions{
		Config: c.Config, Tree: c.Environment, Facts: c.Facts, Passwords: passwords,
		SafeGroups: !src.Release.DashesMatter, Types: c.types(src.Release), Lookups: osa.Lookups(os.LookupEnv),
	})
	if err != nil {
		return err
	}
	host, err := all.Host(c.Host)
	if err != nil {
		return err
	}
	return c.show(streams, host)
}

// types are the rules the release's ansible-core evaluates by.
func (c *inventoryVarsCommand) types(r osa.Release) jinja.Types {
	if c.Types == "text" || c.Types == "auto" && r.DashesMatter {
		return jinja.Text
	}
	return jinja.Native
}

// vaultPasswords reads password files. Ansible would run one that is executable; we do not run things to read them.
func vaultPasswords(files []string) ([]osa.VaultPassword, error) {
	var out []osa.VaultPassword
	for _, name := range files {
		id, path, ok := strings.Cut(name, "@")
		if !ok {
			id, path = "", name
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read the vault password: %w", err)
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return nil, fmt.Errorf("vault password file %s is executable: Ansible would run it, this command does not; give a file with the password itself", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the vault password: %w", err)
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			return nil, fmt.Errorf("vault password file %s is empty", path)
		}
		out = append(out, osa.VaultPassword{ID: id, Password: text})
	}
	return out, nil
}

// show prints what can be evaluated; what cannot is the error.
func (c *inventoryVarsCommand) show(streams Streams, host *osa.HostVars) error {
	var failed []error
	var vars []osa.Variable
	for _, name := range c.names(host) {
		v, ok := host.Variable(name)
		if !ok {
			failed = append(failed, fmt.Errorf("%s has no variable %q", c.Host, name))
			continue
		}
		if _, err := osa.WriteJSON(c.seen(v.Value)); v.Err == nil && err != nil {
			v.Err = &osa.VarError{Pos: v.Origin.Pos, Name: name, Err: err}
		}
		if v.Err != nil {
			failed = append(failed, v.Err)
		}
		vars = append(vars, v)
	}
	var err error
	if c.Output == "json" {
		err = c.showJSON(streams.Out, vars)
	} else {
		err = c.showText(streams.Out, vars)
	}
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("some variables cannot be evaluated:\n%w", errors.Join(failed...))
	}
	return err
}

func (c *inventoryVarsCommand) names(host *osa.HostVars) []string {
	if len(c.Names) > 0 {
		return c.Names
	}
	var out []string
	for _, name := range host.Names() {
		if !host.Builtin(name) {
			out = append(out, name)
		}
	}
	return out
}

func (c *inventoryVarsCommand) showText(out io.Writer, vars []osa.Variable) error {
	for _, v := range vars {
		text := "(cannot be evaluated)"
		if v.Err == nil {
			json, err := osa.WriteJSON(c.seen(v.Value))
			if err != nil {
				return err
			}
			text = string(json)
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", v.Name, text); err != nil {
			return err
		}
		if !c.Why {
			continue
		}
		if _, err := fmt.Fprintf(out, "    from %s\n", place(v.Origin)); err != nil {
			return err
		}
		for _, d := range v.Overrides {
			if _, err := fmt.Fprintf(out, "    overrides %s: %s\n", place(d), c.written(d)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *inventoryVarsCommand) seen(v osa.Value) osa.Value {
	if c.ShowSecrets {
		return osa.Reveal(v)
	}
	return osa.Mask(v)
}

// place is where a definition stands and whose it is.
func place(d osa.Definition) string {
	if d.Pos.File == "" {
		return d.Level
	}
	return fmt.Sprintf("%s (%s)", d.Pos, d.Level)
}

// written is a definition as it was written, on one line.
func (c *inventoryVarsCommand) written(d osa.Definition) string {
	if d.Secret && !c.ShowSecrets {
		return "********"
	}
	text, err := osa.WriteJSON(osa.Written(d.Value))
	if err != nil {
		return "(a value that JSON has no form for)"
	}
	var line bytes.Buffer
	if json.Compact(&line, text) != nil {
		return string(text)
	}
	if line.Len() > 200 {
		return strings.ToValidUTF8(line.String()[:200], "") + "..."
	}
	return line.String()
}

func (c *inventoryVarsCommand) showJSON(out io.Writer, vars []osa.Variable) error {
	top := &osa.Map{}
	for _, v := range vars {
		if !c.Why {
			if v.Err == nil {
				top.Set(v.Name, c.seen(v.Value), osa.Pos{})
			}
			continue
		}
		one := &osa.Map{}
		if v.Err == nil {
			one.Set("value", c.seen(v.Value), osa.Pos{})
		} else {
			one.Set("error", v.Err.Error(), osa.Pos{})
		}
		one.Set("from", place(v.Origin), osa.Pos{})
		var below []osa.Value
		for _, d := range v.Overrides {
			below = append(below, place(d))
		}
		one.Set("instead_of", osa.NewList(below...), osa.Pos{})
		top.Set(v.Name, one, osa.Pos{})
	}
	text, err := osa.WriteJSON(top)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}
