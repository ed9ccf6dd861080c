package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
)

type deployCommand struct {
	Preflight deployPreflightCommand `cmd:"" help:"Look at the hosts before anything else: what they are, and what would make a deployment fail. For a bug report, too."`

	Plan    deployPlanCommand    `cmd:"" help:"Show what would change on which host, and change nothing. Exit status 2: there is something."`
	Apply   deployApplyCommand   `cmd:"" help:"Make the management cluster as the configuration asks for. Running it again continues where it stopped."`
	Status  deployStatusCommand  `cmd:"" help:"Show nodes, etcd's members, versions, certificates, load balancers and drift."`
	Destroy deployDestroyCommand `cmd:"" help:"Remove what jeroboam made, and only that."`

	Backup  deployBackupCommand  `cmd:"" help:"Back up the management cluster: etcd, authorities and objects, encrypted."`
	Restore deployRestoreCommand `cmd:"" help:"Restore the management cluster from a backup."`

	Config  deployConfigCommand  `cmd:"" help:"Show what the operator's configuration asks for, where each value comes from, and what is wrong with it."`
	HAProxy deployHAProxyCommand `cmd:"" name:"haproxy" help:"Print the fragments of haproxy.cfg for the management cluster."`
}

// operatorFlags say where an operator's configuration is.
type operatorFlags struct {
	Config            string   `env:"OSA_CONFIG_DIR" default:"/etc/openstack_deploy" placeholder:"DIR" help:"The operator's directory."`
	Environment       string   `short:"e" default:"/opt/openstack-ansible/inventory" placeholder:"DIR" help:"OpenStack-Ansible's inventory directory: env.d, group_vars, host_vars."`
	Release           string   `placeholder:"X.Y.Z" help:"The OpenStack-Ansible release to imitate; otherwise detected from the environment."`
	Facts             string   `placeholder:"DIR" help:"Ansible's fact cache (ansible_facts in the operator's directory)."`
	VaultPasswordFile []string `env:"ANSIBLE_VAULT_PASSWORD_FILE" sep:"none" placeholder:"[ID@]FILE" help:"A file with a password of ansible-vault; may be given several times."`
	Types             string   `enum:"auto,native,text" default:"auto" help:"Types of templates: native (ansible-core 2.19 and later), text (before), or auto: by release."`
}

// options are the flags as the reader takes them.
func (f operatorFlags) options() (intent.Options, error) {
	passwords, err := vaultPasswords(f.VaultPasswordFile)
	if err != nil {
		return intent.Options{}, err
	}
	opts := intent.Options{
		Config: f.Config, Environment: f.Environment, Release: f.Release, Facts: f.Facts, Passwords: passwords, Env: os.LookupEnv,
	}
	if f.Types != "auto" {
		types := jinja.Native
		if f.Types == "text" {
			types = jinja.Text
		}
		opts.Types = &types
	}
	return opts, nil
}

// write is the command that writes the inventory of the same configuration.
func (f operatorFlags) write() string {
	out := "jeroboam inventory --write"
	for _, flag := range []struct{ name, value, usual string }{
		{"config", f.Config, osa.SystemDir}, {"environment", f.Environment, osa.BaseDir}, {"release", f.Release, ""},
	} {
		if flag.value != flag.usual {
			out += " --" + flag.name + " " + shellWord(flag.value)
		}
	}
	return out
}

// shellWord is a text as a shell takes it for one word.
func shellWord(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-_./,:@+=", c)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

type deployConfigCommand struct {
	operatorFlags
	Output      string `enum:"text,json,yaml" default:"text" help:"text, json or yaml."`
	ShowSecrets bool   `help:"Print secrets in plain text."`
}

// Run reads the configuration and prints what it asks for; findings go to standard error, in JSON beside the rest.
func (c *deployConfigCommand) Run(streams Streams) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	in, found, err := intent.Read(opts)
	if err != nil {
		return err
	}
	found = append(found, withoutMeaning(in)...)
	switch c.Output {
	case "json":
		err = in.WriteJSON(streams.Out, found, c.ShowSecrets)
	case "yaml":
		err = in.WriteYAML(streams.Out, c.ShowSecrets)
	default:
		err = in.WriteText(streams.Out, c.ShowSecrets)
	}
	if err != nil {
		return err
	}
	if c.Output != "json" {
		if err := writeFindings(streams.Err, found); err != nil {
			return err
		}
	}
	return undeployable(found)
}

// withoutMeaning lists, once, the operator's options of magnum.conf that Jeroboam's server reads nothing of. The server
// itself says which they are: its own reading of the file is asked, and what is wrong with it is said when it starts.
func withoutMeaning(in intent.Intent) osa.Findings {
	if len(in.Magnum.Hosts) == 0 || in.Magnum.Service.Implementation == intent.ImplementationMagnum {
		return nil
	}
	o, err := oslo.Read(oslo.Source{Name: "magnum.conf", Data: []byte(magnum.Config(in, in.Magnum.Hosts[0]))})
	if err != nil {
		return nil // the configuration's own findings say what is wrong
	}
	_, _ = interpret(slog.New(slog.DiscardHandler), o, nil) // files that it names are on other machines
	var names []string
	for _, u := range o.Unused() {
		if _, ok := in.Magnum.ConfigOverrides[u.Group][u.Option]; ok {
			names = append(names, "["+u.Group+"] "+u.Option)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return osa.Findings{{
		Severity: osa.Note, Code: "magnum-options", Pos: in.Origin("magnum.configOverrides").Pos, Fix: "leave them, if OpenStack's own Magnum may come back",
		Text: "options of magnum_config_overrides that mean nothing to Jeroboam's server stay in magnum.conf: " + strings.Join(names, ", "),
	}}
}

func writeFindings(out io.Writer, found osa.Findings) error {
	for _, f := range found.Sorted() {
		if _, err := fmt.Fprintln(out, f); err != nil {
			return fmt.Errorf("write findings: %w", err)
		}
	}
	return nil
}

// undeployable is the error of a configuration that must not be deployed.
func undeployable(found osa.Findings) error {
	if found.Count(osa.Error) > 0 {
		return fmt.Errorf("nothing can be deployed from this configuration: %s", found.Tally())
	}
	return nil
}

type deployHAProxyCommand struct {
	operatorFlags
	Host        string `placeholder:"NAME" help:"Only the fragments of this load balancer; otherwise of all, those that are equal once."`
	ShowSecrets bool   `help:"Print secrets in plain text."`
}

// Run prints the fragments.
func (c *deployHAProxyCommand) Run(streams Streams) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	in, found, err := intent.Read(opts)
	if err != nil {
		return err
	}
	if found.Err() != nil {
		if err := writeFindings(streams.Err, found); err != nil {
			return err
		}
		return undeployable(found)
	}
	return c.show(streams.Out, in)
}

// show prints the files of load balancers, those with equal files together.
func (c *deployHAProxyCommand) show(out io.Writer, in intent.Intent) error {
	type group struct {
		names []string
		text  string
	}
	var groups []*group
	for _, h := range in.HAProxy.Hosts {
		if c.Host != "" && h.Name != c.Host {
			continue
		}
		text := fragments(haproxy.Files(haproxy.Alert(h.Services), h.Settings))
		if !c.ShowSecrets {
			text = in.Mask(text)
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.text == text })
		if i < 0 {
			groups = append(groups, &group{text: text})
			i = len(groups) - 1
		}
		groups[i].names = append(groups[i].names, h.Name)
	}
	if len(groups) == 0 {
		return errors.New("no load balancer: the group haproxy is empty, or --host names none of it (jeroboam inventory --graph shows it)")
	}
	for _, g := range groups {
		if _, err := fmt.Fprintf(out, "# on %s\n%s", strings.Join(g.names, ", "), g.text); err != nil {
			return fmt.Errorf("write fragments: %w", err)
		}
	}
	return nil
}

func fragments(files []haproxy.File) string {
	var b strings.Builder
	for _, f := range files {
		if f.Absent {
			fmt.Fprintf(&b, "# %s is to be absent\n", f.Path)
			continue
		}
		fmt.Fprintf(&b, "# %s, %s:%s %04o\n%s\n", f.Path, f.Owner, f.Group, f.Mode, f.Text)
	}
	return b.String()
}
