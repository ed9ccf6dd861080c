// Package backups lets nodes of the management cluster back it up: the timer on nodes, one backup at once for an
// operator, and an archive brought to the node that a cluster is made anew on. What is in an archive is
// internal/backup's.
package backups

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/backup/offsite"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const (
	backupProgram = host.Agents + "/backup"
	backupCopies  = host.Etc + "/backup-copies.json"
	backupConfig  = host.Etc + "/backup.json"
	backupService = "/etc/systemd/system/jeroboam-backup.service"
	backupTimer   = "/etc/systemd/system/jeroboam-backup.timer"
)

// group is that of changes in a plan.
const group = "backup"

// backupSettings are what a node is told about its backups.
func backupSettings(in intent.Intent, n intent.Node) backup.Settings {
	return backup.Settings{
		Node: n.NodeName, API: "https://" + net.JoinHostPort(n.NodeIP, strconv.Itoa(in.Kubernetes.BackendPort)), Server: "https://" + in.Endpoint(),
		Kubernetes: in.Versions.Kubernetes, Recipients: in.Backups.Recipients, Directory: in.Backups.Path, Keep: in.Backups.Keep,
	}
}

// On is where a node keeps its backups, "" if it makes none.
func On(in intent.Intent, n intent.Node) string {
	if !in.Backups.Enabled || !slices.Contains(in.Backups.Nodes, n.Name) {
		return ""
	}
	return in.Backups.Path
}

// Want are a node's timer. Each of the nodes that the configuration names makes backups of its own, so they need not
// agree on anything. On other nodes nothing of it is to be there; archives stay.
func Want(in intent.Intent, n intent.Node, f host.Facts) ([]host.Item, error) {
	b := in.Backups
	if On(in, n) == "" {
		out := []host.Item{{Unit: &host.Unit{Name: path.Base(backupTimer), Gone: true}}}
		for _, path := range []string{backupTimer, backupService, backupConfig, backupCopies, backupProgram} {
			out = append(out, host.Item{File: &host.File{Path: path, Gone: true}})
		}
		return out, nil
	}
	settings := backupSettings(in, n)
	copies, err := wantCopies(b)
	if err == nil && copies.Content != "" {
		settings.Copies = backupCopies
	}
	text, e := json.MarshalIndent(settings, "", "  ")
	if err = errors.Join(err, e); err != nil {
		return nil, fmt.Errorf("write settings of backups: %w", err)
	}
	return []host.Item{
		{File: &host.File{Path: b.Path, Dir: true, Mode: 0o700}},
		{File: &copies},
		{File: &host.File{Path: backupConfig, Content: string(text) + "\n"}},
		{File: &host.File{Path: backupProgram, Link: host.Agents + "/" + f.Agent}},
		{File: &host.File{Path: backupService, Content: backupServiceText}},
		{File: &host.File{Path: backupTimer, Content: backupTimerText(b)}},
		{Unit: &host.Unit{Name: path.Base(backupTimer), Enabled: true, Active: true, Uses: []string{backupTimer}}},
	}, nil
}

// wantCopies is the file that says where backups are copied to, with what opens those places: root's alone, and not
// there when there are none.
func wantCopies(b intent.Backups) (host.File, error) {
	if len(b.Copies) == 0 {
		return host.File{Path: backupCopies, Gone: true}, nil
	}
	var targets []offsite.Target
	for _, c := range b.Copies {
		targets = append(targets, c.Target)
	}
	text, err := json.MarshalIndent(targets, "", "  ")
	return host.File{Path: backupCopies, Content: string(text) + "\n", Mode: 0o600, Secret: true}, err
}

const backupServiceText = `[Unit]
Description=back up the management cluster
Documentation=https://github.com/jeroboam-cloud/jeroboam/blob/main/docs/backup.md
After=containerd.service kubelet.service

[Service]
Type=oneshot
ExecStart=` + backupProgram + ` agent --backup ` + backupConfig + `
UMask=0077
Nice=10
IOSchedulingClass=idle
TimeoutStartSec=1h
`

func backupTimerText(b intent.Backups) string {
	return fmt.Sprintf(`[Unit]
Description=back up the management cluster

[Timer]
OnCalendar=%s
RandomizedDelaySec=%d
Persistent=true

[Install]
WantedBy=timers.target
`, b.OnCalendar, b.RandomizedDelaySec)
}

// Backup is one backup made for an operator, at once.
type Backup struct {
	Intent intent.Intent
	Node   intent.Node
	Facts  host.Facts
	Hosts  site.Hosts
	// Recipients are the public keys to encrypt for.
	Recipients []string
	// To is where the archive goes.
	To string
}

// Prepare finds a node that can make a backup: the named one, or any that serves.
func Prepare(ctx context.Context, h site.Hosts, in intent.Intent, name string) (Backup, error) {
	facts, err := site.Look(ctx, h)
	if err != nil {
		return Backup{}, err
	}
	n, err := Serving(ctx, h, in, name)
	return Backup{Intent: in, Node: n, Facts: facts[n.PhysicalHost], Hosts: h}, err
}

// Serving finds a node that can make a backup: the named one, or the last that serves, so that the first one, which
// everybody looks at, has less to do.
func Serving(ctx context.Context, h site.Hosts, in intent.Intent, name string) (intent.Node, error) {
	var errs []error
	for _, n := range slices.Backward(in.Nodes) {
		if name != "" && n.Name != name && n.NodeName != name {
			continue
		}
		state, err := site.Ask[host.Node](ctx, h, site.Place{Host: n.PhysicalHost, Container: n.Name}, host.OpNode, host.NodeQuery{})
		switch {
		case err != nil:
			errs = append(errs, err)
		case state.Etcd != "ok" || !state.AdminConf:
			errs = append(errs, fmt.Errorf("%s: etcd: %s", n.Name, cmp.Or(state.Etcd, "not there")))
		default:
			return n, nil
		}
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("there is no node %s", name))
	}
	return intent.Node{}, fmt.Errorf("no node can make a backup: %w", errors.Join(errs...))
}

// Plan is what making it changes.
func (b Backup) Plan() plan.Plan {
	return plan.Plan{Changes: []plan.Change{{
		Place: b.Node.Name, Group: group, Kind: "backup", Name: b.To, Action: plan.Run,
		Summary: fmt.Sprintf("etcd's snapshot, authorities and objects, encrypted for %d keys; fetched, and removed there", len(b.Recipients)),
	}}}
}

// Take makes the archive on the node, writes it to w, and removes it there. What went wrong with objects is in the
// manifest.
func (b Backup) Take(ctx context.Context, w io.Writer) (backup.Taken, error) {
	var taken backup.Taken
	place := site.Place{Host: b.Node.PhysicalHost, Container: b.Node.Name}
	s := backupSettings(b.Intent, b.Node)
	s.Recipients, s.Directory, s.Keep = b.Recipients, backup.ExportDirectory, 0
	clear := func(ctx context.Context) error {
		_, err := site.Ask[struct{}](ctx, b.Hosts, place, host.OpEnsure, []host.Item{{File: &host.File{Path: backup.ExportDirectory, Gone: true}}})
		return err
	}
	if err := clear(ctx); err != nil { // of a run that was killed
		return taken, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_ = clear(ctx) // the next backup does it too
	}()
	if err := runAgent(ctx, b.Hosts, place, b.Facts, "--backup", s, &taken); err != nil {
		return taken, err
	}
	return taken, fetch(ctx, b.Hosts, place, taken, w)
}

// runAgent runs this program inside a container, with an order on its standard input.
func runAgent(ctx context.Context, h site.Hosts, p site.Place, f host.Facts, flag string, order, answer any) error {
	in, err := json.Marshal(order)
	if err != nil {
		return err
	}
	out, err := site.Ask[host.Output](ctx, h, p, host.OpRun, host.Command{Args: []string{host.Agents + "/" + f.Agent, "agent", flag, "-"}, Stdin: string(in), Timeout: 2 * time.Hour})
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out.Out), answer); err != nil {
		return fmt.Errorf("%s: the agent's answer: %w", p.Name(), err)
	}
	return nil
}

// partSize is how much of a file travels in one answer.
const partSize = 4 << 20

// fetch brings a file here and compares its digest.
func fetch(ctx context.Context, h site.Hosts, p site.Place, t backup.Taken, w io.Writer) error {
	sum := sha256.New()
	for at := int64(0); ; {
		part, err := site.Ask[[]byte](ctx, h, p, host.OpPart, host.Part{Path: t.Path, Offset: at, Length: partSize})
		if err != nil {
			return fmt.Errorf("fetch %s: %w", t.Path, err)
		}
		if len(part) == 0 {
			break
		}
		if _, err := io.MultiWriter(w, sum).Write(part); err != nil {
			return fmt.Errorf("write the backup: %w", err)
		}
		at += int64(len(part))
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != t.Digest {
		return fmt.Errorf("what came of %s is %s, and should be %s", t.Path, got, t.Digest)
	}
	return nil
}
