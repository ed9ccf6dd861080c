package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
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
	l, alsoErr := c.logins()
	if err := errors.Join(err, alsoErr); err != nil {
		return err
	}
	recipients := c.Recipient
	if len(recipients) == 0 {
		recipients = in.Backups.Recipients
	}
	if _, err := backup.Recipients(recipients); err != nil {
		return fmt.Errorf("%w: set cluster_api_backups_recipients, or give --recipient (jeroboam deploy backup key makes a key)", err)
	}
	hosts, err := l.connect(ctx, in, c.Replace)
	if len(hosts) == 0 {
		return err
	}
	defer hosts.Close()
	b, err := backups.Prepare(ctx, hosts, in, c.Node)
	if err != nil {
		return err
	}
	b.Recipients, b.To = recipients, c.To
	if err := writePlan(streams.Out, b.Plan(), c.Output, false); err != nil {
		return err
	}
	taken, err := b.TakeTo(ctx)
	if err != nil {
		return err
	}
	report := reporter(streams.Out, c.Output)
	report(site.Progress{Time: time.Now(), Step: "backup", Text: fmt.Sprintf("%s: %d bytes, %s", c.To, taken.Size, taken.Manifest)})
	return nil
}

type deployBackupShowCommand struct {
	File     string `arg:"" help:"The backup."`
	Identity string `required:"" placeholder:"FILE" help:"A file with the secret key."`
	Output   string `enum:"text,json" default:"text" help:"text or json."`
}

// Run reads a backup to its end.
func (c *deployBackupShowCommand) Run(streams Streams) error {
	a, err := backups.Open(c.File, c.Identity)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return writeJSON(streams.Out, a.Manifest)
	}
	_, err = fmt.Fprintf(streams.Out, "%s: whole, %d members, %s\ncluster %s, authority %s\n", c.File, len(a.Manifest.Members), a.Manifest, a.Manifest.Server, a.Manifest.Authority)
	return err
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
	Allow    []string `enum:"${restore_judges}" placeholder:"JUDGE" help:"Allow what this judge finds dangerous, one of ${restore_judges}."`
	Break    string   `placeholder:"RUN" help:"Take over from this run, which status names: it changes nothing more."`
	DryRun   bool     `name:"plan" help:"Show what would change, and change nothing. Exit status 2: there is something."`
}

// Run makes the management cluster anew from a backup. Running it again continues where it stopped.
func (c *deployRestoreCommand) Run(ctx context.Context, streams Streams) error {
	archive, unopened := backups.Open(c.From, c.Identity)
	if !c.DryRun {
		if err := c.changes("restore", c.Break); err != nil {
			return err
		}
	}
	r, err := c.rounds(streams, caller{}, c.Allow, true)
	if err := errors.Join(unopened, err); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if c.DryRun {
		if err := r.PlanRestore(ctx, archive); err != nil {
			return err
		}
		return errChanges
	}
	return r.Restore(ctx, archive)
}
