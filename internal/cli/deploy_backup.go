package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

type deployBackupCommand struct {
	Now  deployBackupNowCommand  `cmd:"" default:"withargs" help:"Make a backup now and fetch it."`
	Show deployBackupShowCommand `cmd:"" help:"Check a whole backup and say what it is. Nothing is restored; no host is asked."`
	Key  deployBackupKeyCommand  `cmd:"" help:"Make a key that backups are encrypted for."`
}

type deployBackupNowCommand struct {
	deployOptions
	To        string   `required:"" placeholder:"FILE" help:"Where the backup goes. It must not be there yet."`
	Node      string   `placeholder:"NODE" help:"The node that makes it; otherwise one that serves."`
	Recipient []string `placeholder:"KEY" sep:"none" help:"A public key to encrypt for; otherwise those of the configuration (cluster_api_backups_recipients)."`
}

// Run makes a backup on a node and fetches it.
func (c *deployBackupNowCommand) Run(ctx context.Context, streams Streams) error {
	if _, err := os.Lstat(c.To); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: name a new file", c.To)
	}
	in, err := c.intent(streams)
	if err != nil {
		return err
	}
	recipients := c.Recipient
	if len(recipients) == 0 {
		recipients = in.Backups.Recipients
	}
	if _, err := backup.Recipients(recipients); err != nil {
		return fmt.Errorf("%w: set cluster_api_backups_recipients, or give --recipient (jeroboam deploy backup key makes a key)", err)
	}
	hosts, err := c.connect(ctx, in)
	if len(hosts) == 0 {
		return err
	}
	defer hosts.Close()
	facts, err := site.Look(ctx, hosts)
	if err != nil {
		return err
	}
	n, err := backups.Serving(ctx, hosts, in, c.Node)
	if err != nil {
		return err
	}
	b := backups.Backup{Intent: in, Node: n, Facts: facts[n.PhysicalHost], Hosts: hosts, Recipients: recipients, To: c.To}
	if err := writePlan(streams.Out, b.Plan(), c.Output, false); err != nil {
		return err
	}
	taken, err := c.take(ctx, b)
	if err != nil {
		return err
	}
	report := reporter(streams.Out, c.Output)
	report(site.Progress{Time: time.Now(), Step: "backup", Text: fmt.Sprintf("%s: %d bytes, %s", c.To, taken.Size, taken.Manifest)})
	return nil
}

// take writes the file under another name until it is whole.
func (c *deployBackupNowCommand) take(ctx context.Context, b backups.Backup) (backup.Taken, error) {
	f, err := os.CreateTemp(filepath.Dir(c.To), "."+filepath.Base(c.To)+".new-*") // mode 0600
	if err != nil {
		return backup.Taken{}, fmt.Errorf("write the backup: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // the last name stays
	taken, err := b.Take(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), c.To) // unlike a rename, this replaces nothing
	}
	return taken, err
}

type deployBackupShowCommand struct {
	File     string `arg:"" help:"The backup."`
	Identity string `required:"" placeholder:"FILE" help:"A file with the secret key."`
	Output   string `enum:"text,json" default:"text" help:"text or json."`
}

// Run reads a backup to its end.
func (c *deployBackupShowCommand) Run(streams Streams) error {
	a, err := openArchive(c.File, c.Identity)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return writeJSON(streams.Out, a.Manifest)
	}
	_, err = fmt.Fprintf(streams.Out, "%s: whole, %d members, %s\ncluster %s, authority %s\n", c.File, len(a.Manifest.Members), a.Manifest, a.Manifest.Server, a.Manifest.Authority)
	return err
}

// openArchive checks all of an archive, and finds the key that opens it alone.
func openArchive(file, identity string) (backups.Restore, error) {
	r := backups.Restore{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }}
	keys, err := backup.ReadKeys(identity)
	if err != nil {
		return r, err
	}
	f, err := os.Open(file)
	if err != nil {
		return r, fmt.Errorf("open the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if r.Key, err = backup.FileKey(f, keys); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return r, fmt.Errorf("read the backup: %w", err)
	}
	sum := sha256.New()
	if r.Manifest, err = backup.Read(io.TeeReader(f, sum), []age.Identity{age.NewInjectedFileKeyIdentity(r.Key)}, nil); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	r.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return r, nil
}

type deployBackupKeyCommand struct {
	To string `required:"" placeholder:"FILE" help:"Where the secret key goes. Keep it off the hosts: without it no backup can be opened."`
}

// Run makes a key.
func (c *deployBackupKeyCommand) Run(streams Streams) error {
	secret, public, err := backup.NewKey()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.To, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = f.WriteString(secret)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = fmt.Fprintln(streams.Out, public)
	return err
}

type deployRestoreCommand struct {
	deployOptions
	From     string   `required:"" placeholder:"FILE" help:"The backup."`
	Identity string   `required:"" placeholder:"FILE" help:"A file with the secret key. It stays here: hosts are given what opens this backup alone."`
	Allow    []string `placeholder:"JUDGE" help:"Allow what this judge finds dangerous: overwrite, delete, downgrade, overlap, alive."`
	Break    string   `placeholder:"RUN" help:"Take over from this run, which status names: it changes nothing more."`
	DryRun   bool     `name:"plan" help:"Show what would change, and change nothing. Exit status 2: there is something."`
}

// Run makes the management cluster anew from a backup. Running it again continues where it stopped.
func (c *deployRestoreCommand) Run(ctx context.Context, streams Streams) error {
	archive, err := openArchive(c.From, c.Identity)
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if !c.DryRun {
		if err := c.changes("restore", c.Break); err != nil {
			return err
		}
	}
	for {
		again, err := c.once(ctx, streams, archive)
		if !again {
			return err
		}
	}
}

// once is one round, as of apply.
func (c *deployRestoreCommand) once(ctx context.Context, streams Streams, archive backups.Restore) (again bool, err error) {
	s, err := c.look(ctx, streams, true)
	if err != nil {
		return false, err
	}
	defer s.Close()
	w := deploy.Restoring(s.Wanted)
	p, fresh := deploy.RestorePlan(w, s.World, archive, time.Now())
	p = plan.Judged(s.Copies.Plan(p, kubeadm.Fresh(p)), deploy.RestoreJudges(w, s.World, archive)...)
	if err := writePlan(streams.Out, p, c.Output, false); err != nil {
		return false, err
	}
	if c.DryRun {
		return false, errChanges
	}
	if err := allowed(p, c.Allow); err != nil {
		return false, err
	}
	d := newDeployment(w, fresh, p, s.Hosts, streams, c.Output)
	d.Restore, d.Copies = &archive, s.Copies
	return d.CarryOut(ctx)
}
