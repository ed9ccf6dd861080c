package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
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

// hold takes the hosts, if this run changes things.
func (o *deployOptions) hold(ctx context.Context, hosts site.Hosts) error {
	if o.run == nil {
		return nil
	}
	return hosts.Hold(ctx, *o.run)
}

// read reads the configuration with facts of hosts that are known already.
func (o *deployOptions) read(facts map[string]map[string]string) (intent.Intent, osa.Findings, error) {
	opts, err := o.options()
	if err != nil {
		return intent.Intent{}, nil, err
	}
	opts.HostFacts = facts
	return intent.Read(opts)
}

// intent reads the configuration, tells what is wrong with it, and refuses what must not be deployed.
func (o *deployOptions) intent(streams Streams) (intent.Intent, error) {
	in, found, err := o.read(nil)
	if err != nil {
		return in, err
	}
	if len(in.NeedFacts) > 0 {
		if in, found, err = o.read(assumedFacts(in)); err != nil {
			return in, err
		}
	}
	streams.curtain.draw(in.Masker())
	if o.Output == "text" || found.Err() != nil {
		if err := writeFindings(streams.Err, found); err != nil {
			return in, err
		}
	}
	if err := undeployable(found); err != nil {
		return in, err
	}
	if len(in.Drawn) > 0 {
		return in, fmt.Errorf("containers are not in the inventory yet (%s), and would get other names in the next run: write it first (jeroboam inventory --write)", strings.Join(in.Drawn, ", "))
	}
	return in, nil
}

// assumedFacts are those of containers, whose host name OpenStack-Ansible sets: their name, with dashes.
func assumedFacts(in intent.Intent) map[string]map[string]string {
	facts := map[string]map[string]string{}
	for _, name := range in.NeedFacts {
		facts[name] = map[string]string{"hostname": strings.ReplaceAll(name, "_", "-"), "os_family": "Debian", "architecture": "x86_64"}
	}
	return facts
}

// look connects, checks, and looks at everything.
func (o *deployOptions) look(ctx context.Context, streams Streams, strict bool) (*deploy.Session, error) {
	in, err := o.intent(streams)
	if err != nil {
		return nil, err
	}
	bundle, err := openBundle(o.open(o.Bundle))
	if err != nil {
		return nil, err
	}
	hosts, err := o.connect(ctx, in)
	if err != nil && (strict || len(hosts) == 0) {
		hosts.Close()
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	if err != nil {
		_, _ = fmt.Fprintln(streams.Err, err) // what can be said is said without these hosts
	}
	program, err := remote.This()
	if err != nil {
		hosts.Close()
		return nil, err
	}
	return deploy.Look(ctx, in, deploy.Options{
		Bundle: bundle, Hosts: hosts, Reach: o.copyHosts, Dial: site.Connect, Program: "sha256:" + program.Digest,
		Settled: strict, Hold: o.run, StrictVersions: o.StrictVersions, SkipUnreachable: o.SkipUnreachable, Replace: o.Replace, Chain: o.chain, Until: o.until,
		Tell: func(place, text string) { _, _ = fmt.Fprintf(streams.Err, "%s: %s\n", place, text) },
		Note: func(text string) error { return o.note(streams, text) },
	})
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

	Allow []string `placeholder:"JUDGE" help:"Allow what this judge finds dangerous: restart, delete, downgrade, quorum, lost, overlap, others, alive."`
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
	for {
		in, again, err := c.once(ctx, streams, reviewed)
		switch {
		case again && err == nil && reviewed != nil:
			return errors.New("all that could be reviewed is done, and there is more now: containers have been started, nodes that were gone are back, or the next minor version is on its way: plan again")
		case again:
		case err != nil:
			return err
		default:
			return c.judge(ctx, in, streams, c.Output)
		}
	}
}

// once is one round: look, plan, apply. Another one is needed when containers had to be started to see what is in them.
func (c *deployApplyCommand) once(ctx context.Context, streams Streams, reviewed *plan.File) (in intent.Intent, again bool, err error) {
	s, err := c.look(ctx, streams, true)
	if err != nil {
		return in, false, err
	}
	defer s.Close()
	p := s.Plan(time.Now())
	if err := writePlan(streams.Out, p, c.Output, false); err != nil {
		return in, false, err
	}
	if err := errors.Join(s.Holds(p, reviewed), allowed(p, c.Allow), c.possible(s.Intent)); err != nil {
		return in, false, err
	}
	if !p.Empty() {
		if err := c.agreed(streams, p, reviewed != nil); err != nil {
			return in, false, err
		}
		d := newDeployment(s.Wanted, s.World, p, s.Hosts, streams, c.Output)
		d.Copies, d.Services, d.Outside = s.Copies, s.Services, s.Outside.Hosts
		if again, err := d.CarryOut(ctx); again || err != nil {
			return in, again, err
		}
	}
	if further, err := goesOn(ctx, s.Wanted.Chain, streams); further || err != nil {
		return s.Intent, further, err
	}
	return s.Intent, c.comesBack(ctx, s.Intent), nil
}

// allowed refuses a plan in which something is dangerous that the operator has not allowed.
func allowed(p plan.Plan, allow []string) error {
	if blocked := p.Blocked(allow); len(blocked) > 0 {
		return fmt.Errorf("nothing was changed: the plan is dangerous, see above; if that is meant: --allow %s", strings.Join(judges(blocked), " --allow "))
	}
	return nil
}

// comesBack takes nodes off the list of those that are gone whose host answers: they have been taken out, and are made
// anew.
func (c *deployApplyCommand) comesBack(ctx context.Context, in intent.Intent) bool {
	if len(c.Replace) == 0 {
		return false
	}
	gone := c.Replace
	c.Replace = nil                // all hosts are tried
	hosts, _ := c.connect(ctx, in) // hosts that do not answer are the question
	hosts.Close()
	c.Replace = deploy.ComesBack(in, gone, func(name string) bool { return hosts[name] != nil })
	return len(c.Replace) < len(gone)
}

// judges are the names of those who found something.
func judges(found []plan.Finding) []string {
	names := map[string]bool{}
	for _, f := range found {
		names[f.Judge] = true
	}
	return slices.Sorted(maps.Keys(names))
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
