package emulator

import (
	"encoding/xml"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const domainXML = `<domstatus state='running' reason='booted' pid='4711'>
<domain type='lxc' id='4711'>
  <name>instance-00000001</name>
  <os>
    <type arch='x86_64'>exe</type>
    <init>/sbin/init</init>
    <initenv name='product_name'>OpenStack Nova</initenv>
  </os>
  <clock offset='utc'/>
  <devices>
    <filesystem type='mount' accessmode='passthrough'>
      <source dir='/var/lib/nova/instances/1f/rootfs'/>
      <target dir='/'/>
    </filesystem>
    <console type='pty' tty='/dev/pts/5'>
      <source path='/dev/pts/5'/>
    </console>
  </devices>
</domain>
</domstatus>`

func TestChange(t *testing.T) {
	for _, c := range []struct{ reason, text, want string }{
		{"as Nova makes it", domainXML, ""},
		{"with features of its own", strings.Replace(domainXML, "<clock", "<features><acpi/></features><clock", 1), ""},
		{"no init", strings.Replace(domainXML, "<init>/sbin/init</init>", "", 1), "without <init>"},
		{"an init that already has arguments", strings.Replace(domainXML, "<initenv", "<initarg>x</initarg><initenv", 1), "has arguments"},
		{"no os", "<domain/>", "without <os>"},
	} {
		got, err := change(c.text)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.reason, err, c.want)
		}
		if err != nil {
			continue
		}
		var parsed struct {
			Domain struct {
				OS struct {
					Init string   `xml:"init"`
					Args []string `xml:"initarg"`
					Env  string   `xml:"initenv"`
				} `xml:"os"`
				Features struct {
					Capabilities struct {
						Policy string `xml:"policy,attr"`
					} `xml:"capabilities"`
				} `xml:"features"`
			} `xml:"domain"`
		}
		if err := xml.Unmarshal([]byte(got), &parsed); err != nil {
			t.Errorf("%s: %v", c.reason, err)
			continue
		}
		d := parsed.Domain
		want := []string{"-c", Prelude("/sbin/init")}
		if d.OS.Init != "/bin/sh" || d.OS.Env != "OpenStack Nova" || d.Features.Capabilities.Policy != "allow" || cmp.Diff(want, d.OS.Args) != "" {
			t.Errorf("%s: init %q, env %q, policy %q, arguments %s", c.reason, d.OS.Init, d.OS.Env, d.Features.Capabilities.Policy, cmp.Diff(want, d.OS.Args))
		}
	}
}

// TestPreludeIsShell: a quotation mark too many would stop every server, silently.
func TestPreludeIsShell(t *testing.T) {
	outer := Prelude("/sbin/init")
	for _, text := range []string{outer, strings.Split(outer, "'")[1]} {
		cmd := exec.CommandContext(t.Context(), "sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	if strings.Count(outer, "'") != 2 {
		t.Error("a quotation mark within the inner script")
	}
}

func TestDomain(t *testing.T) {
	if got, err := domain([]string{"--name", "instance-1", "--console", "22"}); err != nil || got != "instance-1" {
		t.Error(got, err)
	}
	for _, args := range [][]string{nil, {"--name"}, {"--name", "../../etc"}} {
		if _, err := domain(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestConsole(t *testing.T) {
	tty, file := console([]byte(domainXML))
	if tty != "/dev/pts/5" || file != "/var/lib/nova/instances/1f/console.log" {
		t.Error(tty, file)
	}
	if tty, _ := console([]byte(domainXML[:200])); tty != "" {
		t.Error("half a file has no console")
	}
}
