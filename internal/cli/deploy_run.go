package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// errChanges makes the exit status 2: there are changes, and nobody has made them.
var errChanges = errors.New("changes are pending")

// deployOptions are the flags that plan, apply, status and destroy share.
type deployOptions struct {
	operatorFlags
	Bundle string `placeholder:"DIR" default:"bundle" help:"The bundle to install from (jeroboam bundle build)."`
	trustFlags
	SSHKey     []string `name:"ssh-key" sep:"none" placeholder:"FILE" help:"A private key to log in with; otherwise the user's own and ssh-agent's."`
	KnownHosts []string `name:"known-hosts" sep:"none" placeholder:"FILE" help:"Keys of hosts; otherwise the user's own file and the system's."`
	Replace    []string `placeholder:"NODE" help:"A node that is gone for good: its etcd member and its Node are removed, and it is created again if its host answers."`
	Output     string   `enum:"${outputs}" default:"text" help:"One of ${outputs}."`

	StrictVersions  bool `help:"Refuse every difference between the versions that the configuration asks for and those of the bundle."`
	SkipUnreachable bool `help:"Go on without hosts of Magnum and of the proxy that do not answer; the plan names them."`

	chain bool       // an old cluster is brought up one minor version at a time
	until string     // the one to stop at
	run   *host.Hold // what a run that changes things calls itself
}

// changes says that this run is going to change things: it takes the hosts for itself, and from a run that it is to
// break.
func (o *deployOptions) changes(what, breaks string) error {
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("name the run: %w", err)
	}
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if name, err := os.Hostname(); err == nil {
		who += "@" + name
	}
	o.run = &host.Hold{ID: hex.EncodeToString(id), What: what, Who: who, Since: time.Now(), Break: breaks}
	return nil
}

// intent is configured, of containers whose names and addresses hold.
func (o *deployOptions) intent(streams Streams) (intent.Intent, error) {
	in, err := o.configured(streams)
	if len(in.Drawn) > 0 {
		err = errors.Join(fmt.Errorf("containers are not in the inventory yet (%s), and would get other names in the next run: write it first (%s)", strings.Join(in.Drawn, ", "), o.write()), err)
	}
	return in, err
}

// configured reads the configuration, tells what is wrong with it, and refuses what must not be deployed.
func (o *deployOptions) configured(streams Streams) (intent.Intent, error) {
	opts, err := o.options()
	if err != nil {
		return intent.Intent{}, err
	}
	in, found, err := intent.ReadAssuming(opts)
	if err != nil {
		return in, err
	}
	streams.curtain.draw(in.Masker())
	if o.Output == "text" || found.Err() != nil {
		if err := writeFindings(streams.Err, found); err != nil {
			return in, err
		}
	}
	if err := undeployable(found); err != nil {
		return in, err // and its nodes may be unknown
	}
	return in, deploy.CheckGone(in, o.Replace)
}

// look is what a look goes by; the bundle is another matter.
func (o *deployOptions) look(streams Streams) (deploy.Options, error) {
	l, err := o.logins()
	return deploy.Options{
		Connect: l.connect, Reach: l.reach, Dial: site.Connect, Program: "sha256:" + l.program.Digest, Own: l.program.Path,
		Hold: o.run, StrictVersions: o.StrictVersions, SkipUnreachable: o.SkipUnreachable, Replace: o.Replace, Chain: o.chain, Until: o.until,
		Tell:      func(place, text string) { _, _ = fmt.Fprintf(streams.Err, "%s: %s\n", place, text) },
		Unreached: func(err error) { _, _ = fmt.Fprintln(streams.Err, err) }, // what can be said is said without these hosts
		Note:      func(text string) error { return o.note(streams, text) },
	}, err
}

// bundle is what is installed.
func (o *deployOptions) bundle() (site.Bundle, error) {
	b, err := o.open(o.Bundle)
	if err != nil {
		return site.Bundle{}, err
	}
	return b.Deployable()
}

// read reads the configuration and flags, and the bundle for what installs something. All that is wrong is told at
// once.
func (o *deployOptions) read(streams Streams, installs bool) (intent.Intent, deploy.Options, error) {
	in, err := o.intent(streams)
	opts, flags := o.look(streams)
	var unopened error
	if installs {
		opts.Bundle, unopened = o.bundle()
	}
	return in, opts, errors.Join(err, flags, unopened)
}

// session reads everything, and looks at everything. settled says that nothing may be under way which earlier runs have
// left, and that all hosts are needed.
func (o *deployOptions) session(ctx context.Context, streams Streams, settled bool) (*deploy.Session, error) {
	in, opts, err := o.read(streams, true)
	if err != nil {
		return nil, err
	}
	opts.Settled = settled
	return deploy.Look(ctx, in, opts)
}

// rounds reads everything for a command that changes things; installs is of read.
func (o *deployOptions) rounds(streams Streams, c caller, allow []string, installs bool) (*deploy.Rounds, error) {
	c.streams, c.output = streams, o.Output
	in, opts, err := o.read(streams, installs)
	return &deploy.Rounds{
		Caller: c, Intent: in, Options: opts, Allow: allow,
		Run: site.Run{Report: reporter(streams.Out, o.Output), Random: rand.Reader, Now: time.Now, Poll: 500 * time.Millisecond},
	}, err
}

// note tells where configuration and bundle differ.
func (o *deployOptions) note(streams Streams, text string) error {
	if o.Output != "text" {
		return nil
	}
	if _, err := fmt.Fprintln(streams.Err, text); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	return nil
}

type deployApplyCommand struct {
	deployOptions
	deployVerify
	Reviewed string `arg:"" optional:"" name:"plan" placeholder:"FILE" help:"A plan of \"plan --out\": that is carried out, and nothing if the world has moved since."`
	Yes      bool   `short:"y" help:"Do not ask at a terminal. Where there is none, nobody is asked."`

	Allow []string `enum:"${apply_judges}" placeholder:"JUDGE" help:"Allow what this judge finds dangerous, one of ${apply_judges}."`
	Break string   `placeholder:"RUN" help:"Take over from this run, which status names: it changes nothing more."`
	Until string   `placeholder:"1.N" help:"Go no further than this minor version of Kubernetes, which the bundle carries on the way of an old cluster to its own."`
}

// Run makes everything as it should be.
func (c *deployApplyCommand) Run(ctx context.Context, streams Streams) error {
	if err := c.changes("apply", c.Break); err != nil {
		return err
	}
	c.chain, c.until = true, c.Until
	var reviewed *plan.File
	if c.Reviewed != "" {
		f, err := plan.ReadFile(c.Reviewed)
		if err != nil {
			return err
		}
		reviewed = &f
	}
	r, err := c.rounds(streams, caller{asks: !c.Yes, ready: c.possible}, c.Allow, true)
	if err != nil {
		return err
	}
	r.Reviewed = reviewed
	in, err := r.Apply(ctx)
	if err != nil {
		return err
	}
	return c.judge(ctx, in, streams, c.Output)
}

// reporter writes progress as it comes: lines, or lines of JSON.
func reporter(w io.Writer, output string) func(site.Progress) {
	var mu sync.Mutex
	began := time.Now()
	return func(p site.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if output == "json" {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			_ = e.Encode(p) // nobody to tell when standard output is gone
			return
		}
		took := ""
		if p.Took > 0 {
			took = fmt.Sprintf(" (%.1f s)", p.Took.Seconds())
		}
		place := p.Step
		if p.Place != "" {
			place = p.Place
		}
		_, _ = fmt.Fprintf(w, "[%6.1f s] %s: %s%s\n", time.Since(began).Seconds(), place, p.Text, took)
	}
}
