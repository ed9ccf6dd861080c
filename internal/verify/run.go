package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"k8s.io/client-go/rest"
)

// run is one verification on its way.
type run struct {
	Options
	Clients

	found   Found
	plan    Plan
	step    string            // that goes on, for what is told
	cluster *clusters.Cluster // as Magnum showed it when it was complete
	config  *rest.Config
	kube    kubeAPI
	version string // Kubernetes', as its API server says
	exec    execute
	image   string // of pods
}

// skipped is the reason for which there is nothing to look at.
type skipped string

func (s skipped) Error() string { return string(s) }

// step is a part of the procedure.
type step struct {
	name   string
	proves string // "it proves that ..."
	look   string // "look at ..."
	do     func(context.Context) (seen string, err error)
	check  bool // it can be declined, and others go on when it fails
}

// procedure is everything that a run does but the removal.
func (r *run) procedure() []step {
	return append([]step{
		{"network", "there is a network for floating addresses", "Neutron's answer; making a network takes an administrator", r.obtain(&r.plan.Network, r.makeNetwork), false},
		{"image", "Glance takes the nodes' image", "Glance's log and its free space", r.obtain(&r.plan.Image, r.makeImage), false},
		{"flavor", "there is a size that nodes can have", "Nova's answer; making a flavor takes an administrator", r.obtain(&r.plan.Flavor, r.makeFlavor), false},
		{"keypair", "Nova takes a key pair", "the user's quota of key pairs", r.obtain(&r.plan.Keypair, r.makeKeypair), false},
		{"template", "Magnum takes a cluster template", "Magnum's answer, which names the field; labels are in docs/labels.md", r.obtain(&r.plan.Template, r.makeTemplate), false},
		{
			"cluster", "Magnum makes a cluster from it", "the reason above; openstack server list and console log show; in the management cluster, the Cluster's " +
				"and Machines' conditions, and the logs of Magnum and of Cluster API's provider", r.obtain(&r.plan.Cluster, r.makeCluster), false,
		},
		{"connect", "the cluster's API server answers with a certificate that Magnum signed", "whether this machine reaches the API's address (a private cluster is " +
			"reached from its own network, or with --proxy), and the API server's security group", r.connect, false},
	}, r.checks()...)
}

// CheckNames are the checks, in their order.
func CheckNames() []string {
	var out []string
	for _, s := range (&run{}).checks() {
		out = append(out, s.name)
	}
	return out
}

// Run makes a cluster, looks at it, and removes what it made. Its error says that nothing was begun, or that results
// could not be written; what is wrong with the cloud is in the verdict.
func Run(ctx context.Context, o Options, c Clients) (Verdict, error) {
	r := &run{Options: o, Clients: c}
	var err error
	if r.found, err = Find(ctx, c); err != nil {
		return Verdict{}, err
	}
	if r.plan, err = Decide(o, r.found); err != nil {
		return Verdict{}, err
	}
	var results []Result
	lacking := ""
	for _, s := range r.procedure() {
		result := r.one(ctx, s, lacking)
		results = append(results, result)
		if ctx.Err() != nil {
			lacking = "interrupted"
		} else if result.State == Failed && !s.check {
			lacking = s.name + " failed"
		}
	}
	results = append(results, r.one(context.WithoutCancel(ctx), step{
		name: "remove", proves: "what was made can be removed", do: r.remove,
		look: "the cluster's status_reason; then run jeroboam verify --cleanup --run " + o.RunID,
	}, ""))
	v := Judge(o.RunID, results)
	if r.cluster != nil {
		v.Kubernetes = r.cluster.COEVersion
	}
	r.tell(Event{Event: "verdict", Verdict: &v})
	if o.Results != "" {
		err = v.write(o.Results)
	}
	return v, err
}

// one does one step and says what came of it. A step that lacks something is not done.
func (r *run) one(ctx context.Context, s step, lacking string) Result {
	result := Result{Step: s.name, Proves: s.proves}
	began := r.Now()
	r.step = s.name
	switch {
	case s.check && r.declined(s.name):
		result.State, result.Detail = Skipped, "declined"
	case lacking != "":
		result.State, result.Detail = NotRun, lacking
	default:
		r.tell(Event{Event: "began", Step: s.name})
		seen, err := s.do(ctx)
		var reason skipped
		switch {
		case err == nil:
			result.State, result.Detail = Passed, seen
		case errors.As(err, &reason):
			result.State, result.Detail = Skipped, string(reason)
		case ctx.Err() != nil:
			result.State, result.Detail = NotRun, "interrupted"
		default:
			result.State, result.Detail, result.LookAt = Failed, err.Error(), s.look
		}
	}
	result.Seconds = r.Now().Sub(began).Round(time.Millisecond).Seconds()
	r.tell(Event{Event: "result", Step: s.name, Result: &result})
	return result
}

func (r *run) declined(check string) bool {
	return len(r.Only) > 0 && !slices.Contains(r.Only, check) || slices.Contains(r.Without, check)
}

// say tells what goes on within a step.
func (r *run) say(format string, args ...any) {
	r.tell(Event{Event: "progress", Step: r.step, Text: strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")})
}

func (r *run) tell(e Event) {
	if e.Time = r.Now(); r.Tell != nil {
		r.Tell(e)
	}
}

// connect makes the connection to the cluster, and the namespace in which pods of checks run.
func (r *run) connect(ctx context.Context) (string, error) {
	k, err := clusters.Get(ctx, r.Magnum, r.plan.Cluster.ID).Extract()
	if err != nil {
		return "", fmt.Errorf("ask Magnum for the cluster: %w", err)
	}
	r.cluster = k
	if r.image, err = r.podImage(k.Labels); err != nil {
		return "", err
	}
	if r.config, err = r.connection(ctx, k); err != nil {
		return "", err
	}
	if r.kube, err = newKubeClients(r.config); err != nil {
		return "", err
	}
	r.exec = executor(r.config, r.kube)
	err = r.await(ctx, 2*time.Minute, func(context.Context) (_ bool, _ string, err error) {
		r.version, err = serverVersion(r.kube)
		return err == nil, "", err
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", k.APIAddress, err)
	}
	return fmt.Sprintf("%s, Kubernetes %s", k.APIAddress, r.version), r.makeNamespace(ctx)
}
