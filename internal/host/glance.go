package host

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// glance is what a shell script has seen of a machine without an agent.
type glance struct {
	files map[string]glanced
	units map[string]string // what systemctl shows
}

// glanced is one path: stat's words, and as much of the content as the comparison needs.
type glanced struct {
	kind, mode, owner string
	size              int64
	modified          time.Time
	sum, content      string
	link              string
}

// Glanceable says whether Glance can look at all of the items.
func Glanceable(items []Item) bool {
	for _, i := range items {
		switch {
		case i.File != nil && i.File.Link == "", i.User != nil, i.Unit != nil, i.Relay != nil, i.Credential != nil:
		default:
			return false
		}
	}
	return true
}

// Glance looks at items with a shell script that run runs on the machine: nothing is brought there, and nothing
// changes. The facts are those that an agent's Observe would tell.
func Glance(ctx context.Context, items []Item, run func(ctx context.Context, script string) (string, error)) ([]plan.Facts, error) {
	out, err := run(ctx, glanceScript(items))
	if err != nil {
		return nil, err
	}
	m, err := readGlance(out)
	if err != nil {
		return nil, err
	}
	facts := make([]plan.Facts, len(items))
	var errs []error
	for n, i := range items {
		switch {
		case i.File != nil:
			facts[n] = i.File.glanced(m.seen.files[i.File.Path])
		case i.Credential != nil:
			facts[n] = i.Credential.glanced(m.seen.files[i.Credential.Path], m.Now())
		default:
			r, err := i.resource()
			if err == nil {
				facts[n], err = r.observe(ctx, m)
			}
			errs = append(errs, err)
		}
	}
	return facts, errors.Join(errs...)
}

// glanceScript prints a line for each thing: a letter, the name in base64, what there is of it. Contents are in base64,
// so that lines stay lines; those of big files are told by their digests.
func glanceScript(items []Item) string {
	var b strings.Builder
	b.WriteString(`export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
b() { base64 -w 0; }
f() { [ -e "$1" ] || [ -L "$1" ] || return 0
  printf 'F %s %s\n' "$(printf %s "$1" | b)" "$(stat -c '%f %a %u %U %g %G %s %.9Y' -- "$1")"
  if [ -L "$1" ]; then printf 'L %s %s\n' "$(printf %s "$1" | b)" "$(readlink -n -- "$1" | b)"
  elif [ -f "$1" ]; then printf 'H %s %s\n' "$(printf %s "$1" | b)" "$(sha256sum < "$1" | cut -d' ' -f1)"; fi; }
c() { if [ -f "$1" ] && [ "$(stat -c %s -- "$1")" -le ` + strconv.Itoa(maxText) + ` ]; then printf 'C %s %s\n' "$(printf %s "$1" | b)" "$(b < "$1")"; fi; }
u() { printf 'U %s %s\n' "$(printf %s "$1" | b)" "$(systemctl show "$1" -p ` + unitShown + ` | b)"; }
printf 'T %s %s\n' "$(date +%s.%N)" "$(cut -d' ' -f1 /proc/uptime)"
`)
	asked := map[string]bool{}
	ask := func(what, name string) {
		line := what + " '" + strings.ReplaceAll(name, "'", `'\''`) + "'\n"
		if !asked[line] {
			asked[line] = true
			b.WriteString(line)
		}
	}
	for _, i := range items {
		var uses, units []string
		switch {
		case i.File != nil:
			ask("f", i.File.Path)
			if i.File.Blob == "" && !i.File.Secret && !i.File.Dir {
				ask("c", i.File.Path)
			}
		case i.Credential != nil:
			ask("f", i.Credential.Path)
			ask("c", i.Credential.Path)
		case i.User != nil:
			ask("c", "/etc/passwd")
			ask("c", "/etc/group")
		case i.Unit != nil:
			uses, units = i.Unit.Uses, []string{i.Unit.Name}
		case i.Relay != nil:
			uses, units = i.Relay.Uses, i.Relay.units()
		}
		for _, path := range uses {
			ask("f", path)
		}
		for _, name := range units {
			ask("u", name)
		}
	}
	b.WriteString("echo E\n") // an answer that was cut short would tell of things that they are not there
	return b.String()
}

// readGlance makes a machine of what the script wrote, with its clock.
func readGlance(out string) (*Machine, error) {
	g := &glance{files: map[string]glanced{}, units: map[string]string{}}
	m := &Machine{seen: g}
	ended := false
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) == 1 && words[0] == "E" {
			ended = true
			continue
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("look at the host: its shell wrote %q", strings.TrimSpace(line))
		}
		if words[0] == "T" {
			if err := m.glanceClock(words[1:]); err != nil {
				return nil, err
			}
			continue
		}
		name, err := base64.StdEncoding.DecodeString(words[1])
		if err == nil {
			err = g.read(words[0], string(name), words[2:])
		}
		if err != nil {
			return nil, fmt.Errorf("look at the host: its shell wrote %q: %w", strings.TrimSpace(line), err)
		}
	}
	if m.Now == nil || !ended {
		return nil, errors.New("look at the host: its shell stopped before the end of the script")
	}
	m.Exec = func(_ context.Context, c Command) (Output, error) {
		name := c.Args[2] // systemctl show NAME
		if g.units[name] == "" {
			return Output{}, fmt.Errorf("look at the host: systemctl shows nothing of %s: does systemd answer there?", name)
		}
		return Output{Out: g.units[name]}, nil
	}
	return m, nil
}

// glanceClock sets the machine's clock so that sinceBoot, which counts from our own boot, is right for the other
// machine.
func (m *Machine) glanceClock(words []string) error {
	if len(words) != 2 {
		return errors.New("look at the host: it does not tell its clock")
	}
	now, err := seconds(words[0])
	up, errUp := strconv.ParseFloat(words[1], 64)
	if err := errors.Join(err, errUp); err != nil {
		return fmt.Errorf("look at the host: its clock: %w", err)
	}
	booted := now.Add(-time.Duration(up * float64(time.Second)))
	m.Now = func() time.Time { return booted.Add(monotonic()) }
	return nil
}

// seconds reads a time as date +%s.%N and stat's %.9Y write it.
func seconds(text string) (time.Time, error) {
	whole, part, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	return time.Unix(s, n), err
}

func (g *glance) read(what, name string, words []string) error {
	f := g.files[name]
	switch {
	case what == "F" && len(words) == 8:
		raw, err := strconv.ParseInt(words[0], 16, 64)
		mode, errMode := strconv.ParseInt(words[1], 8, 64)
		size, errSize := strconv.ParseInt(words[6], 10, 64)
		modified, errTime := seconds(words[7])
		if err := errors.Join(err, errMode, errSize, errTime); err != nil {
			return err
		}
		f.kind = map[int64]string{0o100000: "file", 0o040000: "directory", 0o120000: "link"}[raw&0o170000]
		f.mode, f.size, f.modified = fmt.Sprintf("%#o", mode&0o777), size, modified
		f.owner = known(words[3], words[2]) + ":" + known(words[5], words[4])
	case what == "H" && len(words) == 1:
		f.sum = words[0]
	case what == "L" && len(words) == 1:
		text, err := base64.StdEncoding.DecodeString(words[0])
		if err != nil {
			return err
		}
		f.link = string(text)
	case what == "C" && len(words) <= 1: // an empty file has no word
		text, err := base64.StdEncoding.DecodeString(strings.Join(words, ""))
		if err != nil {
			return err
		}
		f.content = string(text)
	case what == "U" && len(words) <= 1:
		text, err := base64.StdEncoding.DecodeString(strings.Join(words, ""))
		g.units[name] = string(text)
		return err
	default:
		return errors.New("which nobody has asked for")
	}
	g.files[name] = f
	return nil
}

// known is a name, or the number that has none.
func known(name, number string) string {
	if name == "UNKNOWN" {
		return number
	}
	return name
}

// glanced are the facts that observe would tell.
func (f *File) glanced(seen glanced) plan.Facts {
	if seen.mode == "" {
		return nil
	}
	have := plan.Facts{"mode": seen.mode, "owner": seen.owner}
	switch seen.kind {
	case "link":
		have["mode"], have["type"], have["link"] = "", "link", seen.link
	case "directory":
		have["type"] = "directory"
	case "file":
		switch {
		case f.Blob == "" && !f.Secret && seen.size <= maxText:
			have["content"] = seen.content
		default:
			have["sha256"] = seen.sum
			if f.Blob == "" && !f.Secret {
				have["content"] = fmt.Sprintf("(%d bytes)\n", seen.size)
			}
		}
	default:
		have["type"] = "special file"
	}
	return have
}

func (c *Credential) glanced(seen glanced, now time.Time) plan.Facts {
	have := (&File{Path: c.Path, Secret: true}).glanced(seen)
	if have == nil {
		return nil
	}
	delete(have, "sha256")
	cfg, err := clientcmd.Load([]byte(seen.content))
	if err != nil {
		have["fresh"] = "no" // whatever it is, it is replaced
		return have
	}
	describeCredential(cfg, have, now.Add(c.Before))
	return have
}
